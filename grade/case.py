"""What a case is: a function that tries something of one task on a half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from grade.half import Half

#: On whom a case is tried. What the sheet says holds of everyone; "exercise" is what the service
#: does otherwise (docs/guide/from-the-exercise.md); "house" is what the course and the service do
#: and the sheet does not ask for, so a learner is not judged by it; "mended" is what the repair of
#: a chapter must hold, whose number stands in the place of the task's.
Who = Literal["everyone", "exercise", "house", "mended"]


@dataclass(frozen=True)
class Case:
    """One thing that the sheet, or the house, says of a task."""

    task: int
    run: Callable[[Half], None]
    who: Who
    #: One hint, by language; it never holds the solution.
    hint: dict[str, str]

    @property
    def name(self) -> str:
        """The name of its function, unique among all cases."""
        return self.run.__name__

    @property
    def sentence(self) -> str:
        """What the sheet says."""
        return (self.run.__doc__ or "").partition("\n")[0]


CASES: list[Case] = []


def case(
    task: int, *, en: str = "", fr: str = "", who: Who = "everyone"
) -> Callable[[Callable[[Half], None]], Callable[[Half], None]]:
    """Declare the function below as a case of this task, with its hint in both languages."""

    def declare(run: Callable[[Half], None]) -> Callable[[Half], None]:
        CASES.append(Case(task, run, who, {"en": en, "fr": fr}))
        return run

    return declare


def of_learners(task: int) -> list[Case]:
    """Return the cases by which a learner's task is judged, in order."""
    return [one for one in CASES if one.task == task and one.who != "house"]
