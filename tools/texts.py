"""`make texts`: gather every text for people and put it into each file of `languages/`.

What is missing in a file is added empty, what nobody says any more is taken out. A test runs the
same and wants nothing to change.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jinja2 import Environment
from jinja2.ext import extract_from_ast

import bienvenue
from bienvenue.feature import Feature, Refusal
from bienvenue.features.audit.operations import TOLD, WHY
from bienvenue.web import body

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

PACKAGE = Path(bienvenue.__file__).parent
LANGUAGES = PACKAGE / "languages"
TEMPLATES = PACKAGE / "templates"
_LEFT_OUT = ("__main__", "asgi", "migrations", "wsgi")


def texts() -> list[str]:
    """Give every text for people once, in the order of the files."""
    _load_all()
    found = [*in_templates(), *in_python(), *in_words()]
    return list(dict.fromkeys(found))


def in_templates() -> Iterator[str]:
    """Give what stands in `_("…")` of a template."""
    for path in sorted(TEMPLATES.rglob("*.*")):
        tree = Environment(autoescape=True).parse(path.read_text("utf-8"))
        for _line, _function, text in extract_from_ast(tree, gettext_functions=("_",)):
            # With values in it, the text is the first of what its call is given.
            first = text[0] if isinstance(text, tuple) else text
            if isinstance(first, str):
                yield first


def in_python() -> Iterator[str]:
    """Give the messages that stand in the code where a refusal is raised, and `plain("…")`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield from _message(node)


def _message(call: ast.Call) -> Iterator[str]:
    said = [word.value for word in call.keywords if word.arg == "message"]
    if isinstance(call.func, ast.Attribute) and call.func.attr == "plain":
        said += call.args[:1]
    for node in said:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


def in_words() -> Iterator[str]:
    """Give the messages of refusals and fields, and the sentences of the record."""
    for refusal in _below(Refusal):
        yield refusal.message
        yield from filter(None, [refusal.heading])
    yield from (message for _code, message in (*body.WORDS.values(), body.ANOTHER_TYPE))
    for feature in _below(Feature):
        yield from (TOLD.get(name, sentence) for name, sentence in feature.events.items())
    yield from WHY


def _below(kind: type[T]) -> list[type[T]]:
    """Give the classes of the product below one, by module and name."""
    found: set[type[T]] = set()
    left = [kind]
    while left:
        new: set[type[T]] = set(left.pop().__subclasses__()) - found
        found |= new
        left += new
    ours = [one for one in found if one.__module__.startswith("bienvenue.")]
    return sorted(ours, key=lambda one: (one.__module__, one.__name__))


def _load_all() -> None:
    for module in pkgutil.walk_packages([str(PACKAGE)], "bienvenue."):
        # Some make an application as they are loaded, or run inside a migration only.
        if not module.name.removeprefix("bienvenue.").startswith(_LEFT_OUT):
            importlib.import_module(module.name)


def renewed(told: dict[str, object], wanted: list[str]) -> dict[str, object]:
    """Give the content of a language's file with these texts and no others."""
    old = told["texts"]
    assert isinstance(old, dict)
    return {"name": told["name"], "texts": {text: old.get(text, "") for text in wanted}}


def main() -> int:
    """Write every file anew; status 1 when a text is missing in one."""
    wanted, missing = texts(), 0
    for path in sorted(LANGUAGES.glob("*.json")):
        content = renewed(json.loads(path.read_text("utf-8")), wanted)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
        held = content["texts"]
        assert isinstance(held, dict)
        empty = sum(not text for text in held.values())
        print(f"{path.name}: {len(wanted)} texts, {empty} missing")
        missing += empty
    return min(missing, 1)


if __name__ == "__main__":
    sys.exit(main())
