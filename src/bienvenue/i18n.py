"""language: what people read, in theirs. Programs read English: no JSON is ever translated.

Texts stand in the code and in the templates in English. A file `languages/<code>.json` has each of
them in another language, so adding one is adding a file. The language of a page is what the visitor
chose, else what the browser names (RFC 9110 section 12.5.4), else that of the setting.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import resources
from typing import Any

from markupsafe import Markup

SOURCE = "en"
"""The language in which texts stand in the code."""

_folder = resources.files("bienvenue") / "languages"
_current: ContextVar[str | None] = ContextVar("language", default=None)


@dataclass(frozen=True)
class Language:
    """One language: `code` as in RFC 5646, `name` in itself, `texts` by their English."""

    code: str
    name: str
    texts: Mapping[str, str]

    def plain(self, text: str, **values: Any) -> str:
        """Give a text in this language with values in the place of their `{name}`."""
        found = self.texts.get(text) or text
        return found.format(**values) if values else found

    def markup(self, text: str, **values: Any) -> Markup:
        """Do the same for a page: values are escaped unless they are markup themselves."""
        found = Markup(self.texts.get(text) or text)  # noqa: S704 (ours, never a visitor's)
        return found.format(**values) if values else found


@functools.cache
def all_languages() -> Mapping[str, Language]:
    """Give every language there is, by its code, English first."""
    found = {SOURCE: Language(SOURCE, "English", {})}
    files = sorted(file.name for file in _folder.iterdir() if file.name.endswith(".json"))
    for name in files:
        told = json.loads((_folder / name).read_text("utf-8"))
        code = name.removesuffix(".json")
        found[code] = Language(code, told["name"], told["texts"])
    return found


def of(code: str | None) -> Language:
    """Give the language of a code, English for one that is not spoken here."""
    known = all_languages()
    return known.get(code or SOURCE, known[SOURCE])


def current() -> str | None:
    """Give the code of the language in which somebody is being answered; None outside requests."""
    return _current.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Let what is written in this block, letters too, be written in a language."""
    token = _current.set(code)
    try:
        yield
    finally:
        _current.reset(token)
