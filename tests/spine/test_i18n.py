"""i18n: every text for people is there in every language, and who reads which."""

from __future__ import annotations

import io
import re
import string
from functools import cache
from gettext import NullTranslations
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from markupsafe import Markup

from bienvenue import i18n
from bienvenue.auth import Auth
from bienvenue.db import DB
from bienvenue.feature import Feature, Reason, Refusal
from bienvenue.i18n import Language
from bienvenue.settings import Section, Settings
from tools import texts

CATALOGUES = texts.catalogues()
FRENCH = i18n.of("fr")


def compiled(said: dict[str, str]) -> bytes:
    """Give the `.mo` of some texts."""
    catalogue = Catalog(locale="fr", charset="utf-8")
    for text, translated in said.items():
        catalogue.add(text, translated)
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def placeholders(text: str) -> set[str]:
    """Give the names that stand in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def words(said: object) -> list[str]:
    """Give a text or its plural forms."""
    return [str(one) for one in (said if isinstance(said, list | tuple) else [said])]


@cache
def renewed(code: str) -> tuple[Catalog, bytes, bytes]:
    """Give the catalogue of a language with all texts gathered again, and its two files."""
    return texts.renewed(code, CATALOGUES[code].read_bytes())


@cache
def gathered() -> Catalog:
    """Give all texts, gathered once: it takes more than a second."""
    return texts.template()


@pytest.mark.parametrize("code", CATALOGUES)
def test_no_text_is_missing_unused_or_older_than_its_compiled_form(code: str) -> None:
    """Gathering them again changes neither file, and each has what belongs into it."""
    path = CATALOGUES[code]
    catalogue, po, mo = renewed(code)
    assert texts.missing(catalogue) == []
    assert po == path.read_bytes(), "run `make texts`"
    assert mo == path.with_suffix(".mo").read_bytes(), "run `make texts`"
    for message in catalogue:
        wanted = placeholders(words(message.id)[-1])
        assert [one for one in words(message.string) if placeholders(one) != wanted] == []


def test_a_text_that_is_new_is_missing_and_one_that_is_gone_is_taken_out() -> None:
    """The gatherer says so of a catalogue that has neither all texts nor only those."""
    old = b'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n > 1);"\n'
    old += b'msgid "Language"\nmsgstr "Langue"\nmsgid "Nothing says this"\nmsgstr "Rien"\n'
    catalogue, po, _ = texts.renewed("fr", old)
    missing = texts.missing(catalogue)
    assert "Sign in" in missing
    assert "Language" not in missing
    assert b"Nothing says this" not in po


def test_the_gatherer_finds_what_there_is() -> None:
    """Of a template, a refusal, a field, the audit log, a plural, a pattern of dates."""
    found = gathered()
    for text in (
        "Language and appearance",
        "Sign in first.",
        "This field is missing.",
        "A device signed in.",
        "The body of this request was cut short.",
        "password changed",
        "Unknown device",
        "{count} time",
    ):
        assert found.get(text) is not None, text
    assert found.get("March", "month") is not None


@pytest.mark.parametrize(
    ("pattern", "braced"),
    [
        ("d MMMM y", "{day} {month} {year}"),
        ("d 'de' MMMM 'de' y", "{day} de {month} de {year}"),
        ("HH 'h' mm", "{hour} h {minute}"),
    ],
)
def test_patterns_of_dates_are_those_of_cldr(pattern: str, braced: str) -> None:
    """Emails are fields, what stands in quotes is text (UTS 35 part 4)."""
    assert texts.as_braces(pattern) == braced


def test_a_pattern_with_a_field_that_is_not_filled_in_is_no_pattern() -> None:
    """As that of twelve hours."""
    with pytest.raises(KeyError):
        texts.as_braces("h:mm a")


def test_every_reason_is_one_that_can_be_read() -> None:
    """Each reason for an end stands in the catalogues."""
    found = gathered()
    assert [reason for reason in Reason if found.get(reason.value) is None] == []


def test_values_are_escaped_on_pages_and_not_in_emails() -> None:
    """In the place of their names; markup stays what it is."""

    class Toy(NullTranslations):
        def gettext(self, message: str) -> str:
            return message.replace("Hello {name}.", "Salut <b>{name}</b>.")

    spoken = Language("xx", "X", Toy())
    assert spoken.plain("Hello {name}.", name="<i>") == "Salut <b><i></b>."
    assert spoken.markup("Hello {name}.", name="<i>") == "Salut <b>&lt;i&gt;</b>."
    assert spoken.markup("Hello {name}.", name=Markup("<i>")) == "Salut <b><i></b>."
    assert spoken.plain("Unknown {text}") == "Unknown {text}"


def test_no_text_is_no_text_in_any_language() -> None:
    """The empty text of a catalogue is its header, which no page shows."""
    assert FRENCH.plain("") == FRENCH.markup("") == ""


@pytest.mark.parametrize(
    ("code", "count", "text"),
    [
        ("en", 0, "0 times"),
        ("en", 1, "1 time"),
        ("en", 2, "2 times"),
        ("fr", 0, "0 fois"),
        ("fr", 2, "2 fois"),
    ],
)
def test_a_number_of_things_has_the_form_of_the_language(code: str, count: int, text: str) -> None:
    """As the catalogue says, so that no template decides it."""
    assert i18n.of(code).plural("{count} time", "{count} times", count) == text


def test_french_forms_zero_as_one() -> None:
    """Its rule is its own: `0 caractère`, where English has `0 characters`."""
    forms = ("{count} more character needed.", "{count} more characters needed.")
    assert "0 caractère." in FRENCH.plural(*forms, 0)
    assert "2 caractères." in FRENCH.plural(*forms, 2)


@pytest.mark.parametrize(
    ("at", "english", "french"),
    [
        (
            "2026-11-09T20:09:36Z",
            "9 November 2026, 20:09 UTC",
            "9 novembre 2026, 20:09 UTC",
        ),
        ("2026-08-01T00:05:00Z", "1 August 2026, 00:05 UTC", "1er août 2026, 00:05 UTC"),
        ("2026-02-28T23:59:59-02:00", "1 March 2026, 01:59 UTC", "1er mars 2026, 01:59 UTC"),
    ],
)
def test_a_moment_is_written_for_people(at: str, english: str, french: str) -> None:
    """In UTC, with the month in emails; a date alone is its beginning."""
    for code, text in (("en", english), ("fr", french)):
        assert i18n.of(code).moment(at) == text
        assert text.startswith(i18n.of(code).date(at) + ",")


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (20, "1 minute", "1 minute"),
        (5400, "90 minutes", "90 minutes"),
        (3599.7, "1 hour", "1 heure"),
        (86400, "24 hours", "24 heures"),
        (90000, "25 hours", "25 heures"),
        (7 * 86400, "7 days", "7 jours"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, english: str, french: str) -> None:
    """In the largest unit that says it without a fraction; a day is 24 hours."""
    assert i18n.of("en").duration(seconds) == english
    assert FRENCH.duration(seconds) == french


def test_a_moment_in_a_refusal_is_written_in_the_language_of_its_reader() -> None:
    """Programs read English; a page, its own language."""
    at = i18n.Moment("2026-11-09T20:09:36Z")
    refusal = Refusal(message="It opens on {at}.", at=at)
    assert refusal.message == "It opens on 9 November 2026, 20:09 UTC."
    assert FRENCH.markup(refusal.msgid, **refusal.params) == (
        "It opens on 9 novembre 2026, 20:09 UTC."
    )


def test_french_has_its_spaces() -> None:
    """A narrow no-break space before `: ; ! ?` and within guillemets, an apostrophe for text."""
    catalogue, _, _ = renewed("fr")
    for message in catalogue:
        for text in words(message.string) if message.id and not message.context else ():
            assert not re.search(r"(?<!\u202f)[:;!?](?=\s|$)", text), text
            assert not re.search(r"[ \u00a0][:;!?»]|«(?!\u202f)|'", text), text


def test_a_language_that_is_not_spoken_is_english() -> None:
    """And a text that is not there is what the code says."""
    assert i18n.of("tlh").code == "en"
    assert i18n.of(None).code == "en"
    assert FRENCH.plain("A text of a host application.") == "A text of a host application."
    assert [(one.code, one.name) for one in i18n.all_languages().values()] == [
        ("en", "English"),
        ("fr", "Français"),
    ]
    assert i18n.current() is None
    with i18n.speaking("fr"):
        assert i18n.current() == "fr"
    assert i18n.current() is None


def test_a_feature_brings_texts_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They add to those of the product and change none; a language of its own makes none."""
    monkeypatch.setattr(i18n, "_folders", [i18n.FOLDER])
    for code in ("fr", "tlh"):
        (tmp_path / code / "LC_MESSAGES").mkdir(parents=True)
        content = compiled({"Collect a badge": "Obtenir un badge", "Language": "Autre chose"})
        (tmp_path / code / "LC_MESSAGES" / "bienvenue.mo").write_bytes(content)

    class Badges(Feature[Section]):
        name = "badges"
        catalogue = tmp_path

    try:
        assert i18n.of("fr").plain("Collect a badge") == "Collect a badge"
        auth = Auth(DB(f"sqlite:///{tmp_path}/db"), Settings())
        for _ in range(2):
            auth._open(Badges)
        assert i18n.of("fr").plain("Collect a badge") == "Obtenir un badge"
        assert i18n.of("fr").plain("Language") == "Langue"
        assert i18n.of("en").plain("Collect a badge") == "Collect a badge"
        assert list(i18n.all_languages()) == ["en", "fr"]
        assert i18n._folders == [i18n.FOLDER, tmp_path]
        auth.close()
    finally:
        i18n.all_languages.cache_clear()
