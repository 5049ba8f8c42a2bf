"""The languages that people read, on pages and in emails. No JSON is ever translated.

Texts stand in the code and in the templates in English. `languages/<code>/LC_MESSAGES/bienvenue.po`
has them in another language, and `bienvenue.mo` beside it is what gettext reads; `make texts`
writes both. A feature may bring a folder of the same shape (`Feature.catalogue`). The language of a
page is what the visitor chose, else what the browser names (RFC 9110 section 12.5.4), else that of
the setting.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from markupsafe import Markup

SOURCE = "en"
"""The language in which texts stand in the code."""

SOURCE_NAME = "English"

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

DATE, TIME, MOMENT = "{day} {month} {year}", "{hour}:{minute}", "{date}, {time} UTC"
"""How English writes a date, a time of the day, and both."""

_HOUR, _DAY = 60, 24 * 60

FOLDER = resources.files("bienvenue") / "languages"

_folders: list[Traversable] = [FOLDER]
_current: ContextVar[str | None] = ContextVar("language", default=None)


#: A label of an international domain in ASCII, and the characters with which it is shown to
#: people: Latin ones with accents, without those that look like another.
_ENCODED = re.compile(r"xn--[a-z0-9-]+", re.ASCII)
_READABLE = re.compile(r"[a-z0-9\u00df-\u00f6\u00f8-\u0130\u0134-\u0137\u0139-\u017e-]+")
_EMAIL = re.compile(r"[!-?A-~]+@[a-z0-9.-]+", re.ASCII)


class Moment(str):
    """A moment (RFC 3339) among the values of a text, written for people where the text is read."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        """Write it in English, as programs read it in the message of a refusal."""
        return format(of(SOURCE).moment(str(self)), spec)


@dataclass(frozen=True)
class Language:
    """One language: `code` as in RFC 5646, `name` in itself, `catalogue` of its texts."""

    code: str
    name: str
    catalogue: NullTranslations

    def plain(self, text: str, **values: Any) -> str:
        """Give a text in this language with values in the place of their `{name}`."""
        found = self._of(text)
        return found.format(**self._for_people(values)) if values else found

    def markup(self, text: str, **values: Any) -> Markup:
        """Do the same for a page: values are escaped unless they are markup themselves."""
        found = Markup(self._of(text))  # noqa: S704 (ours, never a visitor's)
        return found.format(**self._for_people(values)) if values else found

    def plural(self, one: str, many: str, count: int, **values: Any) -> Markup:
        """Give the text for a number of things, for a page; `{count}` is the number."""
        found = Markup(self.catalogue.ngettext(one, many, count))  # noqa: S704 (ours)
        return found.format(count=count, **values)

    def date(self, at: str) -> str:
        """Write the day of a moment (RFC 3339) in UTC, as `9 November 2026`."""
        when = _utc(at)
        # Some languages write the first of a month as an ordinal; CLDR has no pattern for it.
        day = self._in("first day of a month", "1") if when.day == 1 else str(when.day)
        month = self._in("month", MONTHS[when.month - 1])
        return self._in("date", DATE).format(day=day, month=month, year=when.year)

    def moment(self, at: str) -> str:
        """Write a moment (RFC 3339) in UTC to the minute, as `9 November 2026, 20:09 UTC`."""
        when = _utc(at)
        time = self._in("time", TIME).format(hour=f"{when:%H}", minute=f"{when:%M}")
        return self._in("moment", MOMENT).format(date=self.date(at), time=time)

    def duration(self, seconds: float) -> str:
        """Write a length of time in days, hours or minutes, as `1 hour`; a day is 24 hours."""
        minutes = max(1, round(seconds / 60))
        if minutes % _DAY == 0 and minutes > _DAY:
            count = minutes // _DAY
            text = self.catalogue.ngettext("{count} day", "{count} days", count)
            return text.format(count=count)
        if minutes % _HOUR == 0:
            count = minutes // _HOUR
            text = self.catalogue.ngettext("{count} hour", "{count} hours", count)
            return text.format(count=count)
        text = self.catalogue.ngettext("{count} minute", "{count} minutes", minutes)
        return text.format(count=minutes)

    def _for_people(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give values for people: moments as this language writes them, emails in Unicode."""
        return {name: self._for_person(value) for name, value in values.items()}

    def _for_person(self, value: Any) -> Any:
        if isinstance(value, Moment):
            return self.moment(value)
        is_text = isinstance(value, str) and not isinstance(value, Markup)
        return readable(value) if is_text else value

    def _of(self, text: str) -> str:
        # The text of nothing is the header of a catalogue.
        return self.catalogue.gettext(text) if text else ""

    def _in(self, context: str, text: str) -> str:
        return self.catalogue.pgettext(context, text)


def _utc(at: str) -> datetime:
    return datetime.fromisoformat(at).astimezone(UTC)


@functools.cache
def all_languages() -> Mapping[str, Language]:
    """Give every language there is, by its code, English first."""
    folders = sorted(entry.name for entry in FOLDER.iterdir() if entry.is_dir())
    codes = [SOURCE, *(name for name in folders if name != SOURCE)]
    return {code: _language(code) for code in codes}


def add_catalogue(folder: Traversable) -> None:
    """Read the texts of a feature too, from `<code>/LC_MESSAGES/bienvenue.mo` below its folder.

    They stand behind those of the product, which a feature does not change. A folder that was
    added before changes nothing.
    """
    if folder not in _folders:
        _folders.append(folder)
        all_languages.cache_clear()


def _language(code: str) -> Language:
    catalogue = NullTranslations()
    for folder in _folders:
        file = folder / code / "LC_MESSAGES" / "bienvenue.mo"
        if file.is_file():
            with file.open("rb") as content:
                catalogue.add_fallback(GNUTranslations(content))
    return Language(code, catalogue.pgettext("name of the language", SOURCE_NAME), catalogue)


def of(code: str | None) -> Language:
    """Give the language of a code, English for one that is not spoken here."""
    known = all_languages()
    return known.get(code or SOURCE, known[SOURCE])


def current() -> str | None:
    """Give the code of the language of the answer that is being made; None outside requests."""
    return _current.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Let what is written in this block, emails too, be written in a language."""
    token = _current.set(code)
    try:
        yield
    finally:
        _current.reset(token)


def readable(value: str) -> str:
    """Return a normalised email as people read it, its international domain in Unicode.

    A label stays in ASCII when a character of it could be taken for another one; and so does
    every text that is no email.
    """
    if "xn--" not in value or not _EMAIL.fullmatch(value):
        return value
    local, _, domain = value.rpartition("@")
    return f"{local}@{'.'.join(map(_readable, domain.split('.')))}"


def _readable(label: str) -> str:
    if not _ENCODED.fullmatch(label):
        return label
    try:
        shown = label[4:].encode().decode("punycode")
    except UnicodeError:
        return label
    same = unicodedata.normalize("NFC", shown).encode("punycode") == label[4:].encode()
    small = shown == shown.lower() and not shown.isascii()
    return shown if same and small and _READABLE.fullmatch(shown) else label
