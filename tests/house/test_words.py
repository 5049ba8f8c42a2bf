"""Words we no longer use stay out of names, texts and documentation (the list is in words.py)."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from tests.house import words
from tests.house.words import EXEMPT, READ, RETIRED, SCOPE, TOP, Exempt, find, find_in


def test_no_retired_word_is_used() -> None:
    """Each place is listed with the word to use instead; the glossary says what that means."""
    judged = [file for where in SCOPE for file in words.files(where)]
    assert len(judged) > 50
    assert [one for file in judged for one in find(file)] == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", "def write_letter(): ...", ["letter"]),
        ("a.py", "class TooManyLetters: ...", ["Letters"]),
        ("a.py", 'code = "too_many_letters"', ["letters"]),
        ("a.py", 'table = "second_emails"', ["second emails"]),
        ("a.py", "# Whoever asks gets\n# a second\n# email.", ["Whoever"]),
        ("a.py", '"""Ask for the\n    record."""', ["the\n    record"]),
        ("a.py", "self.root = root  # the root of the tree", ["root", "root"]),
        ("a.py", 'row["told"] = flash("She told me so.")', ["told"]),
        ("a.html", "<p>We send you a letter.</p>", ["letter"]),
        ("a.html", "{{ said }} is said", ["said"]),
        ("letters/a.txt", "", ["letters a txt"]),
        ("a.md", "`web/door` is a module; a letter is sealed", ["letter", "door", "sealed"]),
    ],
)
def test_a_retired_word_is_found(name: str, text: str, expected: list[str]) -> None:
    """In identifiers, codes, tables, sentences that go over lines, templates and file names."""
    found = [one.word.replace("/", " ").replace(".", " ") for one in find_in(name, text)]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", '"""The first letter of each word."""'),
        ("a.py", "# letters, digits and dots"),
        ("a.py", "# Each batch of rows is sealed."),
        ("a.py", '"""What is said of it, from the root of the tree."""'),
        ("a.py", "fingerproof = newsletter = 1"),
        ("a.md", "```console\n$ bienvenue outbox show LETTER\n```\n"),
        ("a.md", "`bienvenue outbox show LETTER` prints it"),
        ("a.py", 'page("GET /email/verification", formerly=("/email/proof",))'),
        ("src/bienvenue/purposes.py", 'LINK = "letter"'),
    ],
)
def test_another_meaning_is_none(name: str, text: str) -> None:
    """A character is a letter, rows are sealed, and a page quotes what the product prints."""
    assert list(find_in(name, text)) == []


def test_a_place_has_its_line() -> None:
    """Counted in the file, also behind a block that is not judged."""
    (found,) = find_in("a.md", "one\n```sh\nletter\n```\nfive has a carrier\n")
    assert found == ("a.md", 5, "carrier", "sender, worker")


@pytest.mark.parametrize("one", EXEMPT, ids=lambda one: f"{one.files} {one.old}")
def test_every_exemption_is_of_a_file_and_has_a_reason(one: Exempt) -> None:
    """An exemption of what is gone would hide the next file of that name."""
    files = [str(file.relative_to(TOP)) for file in TOP.glob(one.files.rstrip("*") + "*")]
    assert any(fnmatch(name, one.files) for name in files)
    assert one.old == "*" or any(fnmatch(retired.old, one.old) for retired in RETIRED)
    assert len(one.reason) > 10


def test_the_command_lists_the_places(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One a line, with what to say; its status says whether there is one."""
    monkeypatch.setattr(words, "EXEMPT", ())
    assert words.main(["src/bienvenue/purposes.py"]) == 1
    assert "src/bienvenue/purposes.py:" in capsys.readouterr().out
    monkeypatch.undo()
    assert words.main(["src/bienvenue/purposes.py"]) == 0
    assert capsys.readouterr().out == "0 in 0 files\n"
    assert ".py" in READ
