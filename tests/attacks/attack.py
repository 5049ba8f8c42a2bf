"""What an attack is: a function that tries something on a target and says whether it won.

An attack asserts nothing. It returns `Won` with the evidence or `Refused` with what it met, and
the tests ask for the one where it is declared to win and for the other of the service. So a story
that can only say "refused" is caught by its own declaration.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.attacks.target import Target

HERE = Path(__file__).parent
COURSE = "course"
How = Literal["alone", "host", "library", "shipped"]
"""How a service is served: by itself; inside a host application, one request at a time and below an
application context that was pushed, as tutorials do; inside one that moved from Flask-Login; or
with its edge, by `bienvenue serve`.
"""
BROKEN = "broken:"


@dataclass(frozen=True)
class Won:
    """The attack reached what it was after; `why` is the evidence."""

    why: str


@dataclass(frozen=True)
class Refused:
    """The attack came to nothing; `why` is what it met."""

    why: str


Outcome = Won | Refused
Story = Callable[["Target"], Outcome]


@dataclass(frozen=True)
class Attack:
    """One attack of the catalogue."""

    id: str
    sentence: str
    #: Where it must win: "course", or "broken:<name of a patch>".
    wins: tuple[str, ...]
    story: Story
    #: Settings of the service it runs against, as {"session_cap": "5"}.
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Whether it needs a service of its own, because it breaks it or counts what is in it.
    alone: bool = False
    #: Whether it makes the service fail on purpose, so that its log holds tracebacks.
    noisy: bool = False
    how: How = "alone"

    @property
    def name(self) -> str:
        """The name of its function, unique in the registry together with its id."""
        return self.story.__name__

    def run(self, target: Target) -> Outcome:
        """Try it."""
        return self.story(target)


ATTACKS: list[Attack] = []


def attack(
    id: str,  # noqa: A002 (the word of the catalogue)
    sentence: str,
    *,
    wins: str | tuple[str, ...],
    settings: Mapping[str, str] | None = None,
    alone: bool = False,
    noisy: bool = False,
    how: How = "alone",
) -> Callable[[Story], Story]:
    """Declare the function below as an attack of the catalogue."""
    where = (wins,) if isinstance(wins, str) else wins

    def declare(story: Story) -> Story:
        ATTACKS.append(Attack(id, sentence, where, story, settings or {}, alone, noisy, how))
        return story

    return declare


def load() -> list[Attack]:
    """Import every file of attacks, `a_logic.py` and its like, and give all attacks by id."""
    for module in pkgutil.iter_modules([str(HERE)]):
        if re.match(r"[a-m]_", module.name):
            importlib.import_module(f"tests.attacks.{module.name}")
    return sorted(ATTACKS, key=lambda one: (one.id, one.name))
