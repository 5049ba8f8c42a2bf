"""Lets the services of a test process share what each of them would compile for itself.

Nearly every test makes a service of its own, and a service compiles its paths, its templates and
its statements, and mixes its colours: together a third of the processor's time of all tests. What
comes of it is the same for the same path, template, statement and colour, so it is kept from one
test to the next. Nothing else of a service is shared.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import CodeType
from typing import Any

import jinja2
import pytest
from jinja2.bccache import Bucket
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from bienvenue import accent

#: The paths of one application take 30 ms.
_builders: dict[object, Callable[..., tuple[str, str]]] = {}
_statements: LRUCache[Any, Any] = LRUCache(5000)
_templates: dict[str, CodeType | None] = {}


class _Templates(jinja2.BytecodeCache):
    """The code of every template, by its file and a digest of its text."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give the code to a bucket."""
        bucket.code = _templates.get(bucket.key + bucket.checksum)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of a bucket."""
        _templates[bucket.key + bucket.checksum] = bucket.code


def _same(one: object, other: object) -> bool:
    return type(one) is type(other)


def share(patch: pytest.MonkeyPatch) -> None:
    """Let all services of this process share these, until the patch is undone."""
    build = Rule._compile_builder

    def built(rule: Any, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        if rule.defaults:
            return build(rule, append_unknown)
        key = (tuple(rule._trace), append_unknown)
        if key not in _builders:
            _builders[key] = build(rule, append_unknown)
        return _builders[key]

    patch.setattr(Rule, "_compile_builder", built)
    patch.setattr(accent, "shades", cache(accent.shades))
    begin = jinja2.Environment.__init__

    def begun(self: jinja2.Environment, *arguments: Any, **given: Any) -> None:
        begin(self, *arguments, **{"bytecode_cache": _Templates()} | given)

    patch.setattr(jinja2.Environment, "__init__", begun)
    # Statements are kept by dialect, and the dialects of one kind are alike here.
    for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        patch.setattr(dialect, "__eq__", _same, raising=False)
        patch.setattr(dialect, "__hash__", lambda self: hash(type(self)), raising=False)

    def made(*arguments: Any, **given: Any) -> Engine:
        engine = create_engine(*arguments, **given)
        engine._compiled_cache = _statements
        return engine

    patch.setattr("bienvenue.db.create_engine", made)
