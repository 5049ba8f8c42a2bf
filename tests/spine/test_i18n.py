"""language: every text for people is there in every language, and who reads which."""

from __future__ import annotations

import ast
import json
import string
from collections.abc import Iterator

import pytest
from markupsafe import Markup

from bienvenue import i18n
from bienvenue.features.audit.operations import WHY
from bienvenue.i18n import Language
from tests.house.source import MODULES
from tools import texts

FILES = sorted(texts.LANGUAGES.glob("*.json"))


def placeholders(text: str) -> set[str]:
    """Give the names that stand in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_text_is_missing_and_none_is_unused(path: object) -> None:
    """Gathering them anew changes nothing, and each is there with what belongs into it."""
    (found,) = [one for one in FILES if one == path]
    told = json.loads(found.read_text("utf-8"))
    assert texts.renewed(told, texts.texts()) == told, "run `make texts`"
    assert [text for text, said in told["texts"].items() if not said.strip()] == []
    for text, said in told["texts"].items():
        assert placeholders(said) == placeholders(text), text


def test_the_gatherer_finds_what_there_is() -> None:
    """Of a template, a refusal, a field, the record: one that sees nothing proves nothing."""
    found = texts.texts()
    assert "Language and appearance" in found
    assert "Sign in first." in found
    assert "This field is missing." in found
    assert "A device signed in." in found
    assert "The body of this request was cut short." in found
    assert "password changed" in found
    assert len(found) == len(set(found))


def reasons() -> Iterator[str]:
    """Give every reason that the code gives for an end or for forgetting."""
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                given = {"revoke": 1, "_end": 2, "end_all": 1, "_tell_ended": 1}
                at = given.get(node.func.attr)
                words = node.args[at : at + 1] if at is not None else []
                yield from (str(one.value) for one in words if isinstance(one, ast.Constant))


def test_every_reason_is_one_that_can_be_read() -> None:
    """What the code says is on the list from which texts are gathered."""
    found = set(reasons())
    assert "password changed" in found
    assert found <= set(WHY)


def test_values_are_escaped_on_pages_and_not_in_letters() -> None:
    """In the place of their names; markup stays what it is."""
    spoken = Language("xx", "X", {"Hello {name}.": "Salut <b>{name}</b>."})
    assert spoken.plain("Hello {name}.", name="<i>") == "Salut <b><i></b>."
    assert spoken.markup("Hello {name}.", name="<i>") == "Salut <b>&lt;i&gt;</b>."
    assert spoken.markup("Hello {name}.", name=Markup("<i>")) == "Salut <b><i></b>."
    assert spoken.plain("Unknown {text}") == "Unknown {text}"


def test_a_language_that_is_not_spoken_is_english() -> None:
    """And a text that is not there is what the code says."""
    assert i18n.of("tlh").code == "en"
    assert i18n.of(None).code == "en"
    assert i18n.current() is None
    with i18n.speaking("fr"):
        assert i18n.current() == "fr"
    assert i18n.current() is None
