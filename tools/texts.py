"""`make texts`: gather every text for people and bring each language's catalogue up to date.

Babel extracts from the templates and the code, updates `languages/<code>/LC_MESSAGES/bienvenue.po`,
fills in how the language writes dates (Unicode CLDR) and compiles the `.mo` that gettext reads. A
new text is added empty, an unused one is taken out. A test does the same and wants no change.
"""

from __future__ import annotations

import ast
import importlib
import io
import pkgutil
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir, extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import bienvenue
from bienvenue import i18n
from bienvenue.feature import Feature, Refusal
from bienvenue.features.audit.operations import REASONS
from bienvenue.web import body

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import IO, Any

T = TypeVar("T")

PACKAGE = Path(bienvenue.__file__).parent
LANGUAGES = PACKAGE / "languages"
#: Extraction from a folder: which method for which files.
METHODS = [("**.py", "tools.texts:in_python"), ("templates/**.*", "jinja2")]
KEYWORDS = {"_": None, "ngettext": (1, 2), "plain": None, "message=": None}
_LEFT_OUT = ("__main__", "asgi", "migrations", "wsgi")


class Texts(Catalog):
    """A catalogue whose header has no date and no program: it changes only with its texts."""

    def _get_mime_headers(self) -> list[tuple[str, str]]:
        kept = ("Language", "Plural-Forms", "MIME-Version", "Content-Type")
        headers = [(name, text) for name, text in super()._get_mime_headers() if name in kept]
        return [*headers, ("Content-Transfer-Encoding", "8bit")]

    mime_headers = property(_get_mime_headers, Catalog._set_mime_headers)  # noqa: SLF001 (Babel has no public hook)


def template() -> Catalog:
    """Give a catalogue of every text, none of them translated."""
    found = Texts(charset="utf-8")
    extracted = extract_from_dir(
        PACKAGE, METHODS, {"**.*": {"silent": "false"}}, KEYWORDS, directory_filter=lambda _: True
    )
    for file, _line, text, _comments, context in extracted:
        found.add(text, locations=[(f"bienvenue/{file}", 0)], context=context)
    for text in in_words():
        found.add(text)
    for context, text in _of_dates():
        found.add(text, context=context)
    found.add("1", context="first day of a month")
    return found


def in_python(
    content: IO[bytes], keywords: Mapping[str, Any], comment_tags: Collection[str], options: Any
) -> Iterator[tuple[int, str, Any, Any]]:
    """Give what Babel finds in a file of Python, and the messages where a refusal is raised."""
    source = content.read()
    found: Iterator[Any] = extract_python(io.BytesIO(source), keywords, comment_tags, options)
    yield from found
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "message":
            text = node.value.value if isinstance(node.value, ast.Constant) else None
            if isinstance(text, str) and " " in text:
                yield node.value.lineno, "message=", text, []


def in_words() -> Iterator[str]:
    """Give the messages of refusals and fields, and what features say of events and in the menu."""
    _load_all()
    for refusal in _below(Refusal):
        yield from filter(None, [refusal.page_message or refusal.message, refusal.heading])
    yield from (message for _code, message in (*body.WORDS.values(), body.ANOTHER_TYPE))
    for feature in _below(Feature):
        yield from (
            feature.sentences.get(name, meaning) for name, meaning in feature.events.items()
        )
        yield from (text for entry in feature.menu for text in entry[1:4])
        yield from feature.flashes.values()
    yield from REASONS


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


def _of_dates(code: str = "") -> dict[tuple[str, str], str]:
    """Give what a language says of itself and of dates, by context and English, from CLDR."""
    locale = Locale.parse(code or i18n.SOURCE, sep="-")
    months = locale.months["format"]["wide"]
    glue = locale.datetime_formats["long"].replace("'", "")
    written = {
        ("name of the language", i18n.SOURCE_NAME): str(locale.get_display_name()).capitalize(),
        ("date", i18n.DATE): as_braces(locale.date_formats["long"].pattern),
        ("time", i18n.TIME): as_braces(locale.datetime_skeletons["Hm"].pattern),
        ("moment", i18n.MOMENT): glue.replace("{1}", "{date}").replace("{0}", "{time} UTC"),
    }
    return written | {("month", name): months[n] for n, name in enumerate(i18n.MONTHS, 1)}


def as_braces(pattern: str) -> str:
    """Write a pattern of CLDR (UTS 35 part 4) with the names that `i18n` fills in."""
    names = {"d": "day", "MMMM": "month", "y": "year", "H": "hour", "HH": "hour", "mm": "minute"}

    def braced(found: re.Match[str]) -> str:
        literal, field = found.groups()
        return literal if literal is not None else f"{{{names[field]}}}"

    return re.sub(r"'([^']*)'|([A-Za-z]+)", braced, pattern)


def renewed(code: str, old: bytes) -> tuple[Catalog, bytes, bytes]:
    """Give the catalogue of a language with these texts and no others, as `.po` and as `.mo`."""
    catalog = Texts(
        locale=code.replace("-", "_"),
        header_comment="# The texts for people; `make texts` adds new ones and compiles them.\n#",
        charset="utf-8",
        fuzzy=False,
    )
    known = read_po(io.BytesIO(old), locale=catalog.locale)
    # The file says how many plural forms its translations have.
    catalog.mime_headers = [row for row in known.mime_headers if row[0] == "Plural-Forms"]
    dates = _of_dates(code)
    for message in template():
        if message.id:
            key = message.id if isinstance(message.id, str) else message.id[0]
            before = known.get(key, message.context)
            text = dates.get((message.context or "", key)) or (before.string if before else None)
            catalog.add(message.id, text, message.locations, context=message.context)
    po, mo = io.BytesIO(), io.BytesIO()
    write_po(po, catalog, width=98, include_lineno=False)
    write_mo(mo, catalog)
    return catalog, po.getvalue(), mo.getvalue()


def missing(catalog: Iterable[Any]) -> list[str]:
    """Give the texts that a catalogue does not translate, plural forms counted each."""
    found = []
    for message in catalog:
        parts = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.id and not all(part and part.strip() for part in parts):
            found.append(str(message.id))
    return found


def catalogues() -> dict[str, Path]:
    """Give the `.po` of every language by its code."""
    return {path.parts[-3]: path for path in sorted(LANGUAGES.glob("*/LC_MESSAGES/bienvenue.po"))}


def main() -> int:
    """Write every catalogue again; status 1 when a text is missing in one."""
    total = 0
    for code, path in catalogues().items():
        catalog, po, mo = renewed(code, path.read_bytes())
        path.write_bytes(po)
        path.with_suffix(".mo").write_bytes(mo)
        empty = missing(catalog)
        print(f"{code}: {len(catalog)} texts, {len(empty)} missing")
        print("".join(f"  {text}\n" for text in empty), end="")
        total += len(empty)
    return min(total, 1)


if __name__ == "__main__":
    sys.exit(main())
