"""What is said of a task: done, not yet, or that it waits for another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from grade.case import Case
from grade.seen import Place, Step
from grade.sheet import FILES, TASKS, first_of, needed, task

#: How a task ended that gave no answer: its time ran out, its memory, or its process; or what it
#: asks for is not written yet.
End = Literal["", "time", "memory", "ended", "missing"]
DONE, NOT_YET, WAITS = "done", "not yet", "waits"


@dataclass(frozen=True)
class Finding:
    """What went otherwise than the sheet says."""

    called: str
    expected: str = ""
    got: str = ""
    place: Place | None = None
    end: End = ""
    #: The case that found it, None where none was begun.
    case: Case | None = None


@dataclass(frozen=True)
class Verdict:
    """What came of one task."""

    number: int
    finding: Finding | None = None
    #: The task it waits for; 0 where it waits for none.
    waits_for: int = 0
    steps: list[Step] = field(default_factory=list)

    @property
    def state(self) -> str:
        """One of `DONE`, `NOT_YET` and `WAITS`."""
        if self.finding is None:
            return DONE
        return WAITS if self.waits_for else NOT_YET


def settle(found: Mapping[int, Verdict]) -> dict[int, Verdict]:
    """Let a task that failed wait for the one that it fails by, where there is one.

    A fault belongs to the first task that meets it: later ones build on that, or load its file.
    """
    settled: dict[int, Verdict] = {}
    for number in sorted(found):
        verdict = found[number]
        if verdict.finding is not None:
            first = _blocker(number, verdict.finding, settled) or verdict.waits_for
            if first in settled:
                first = settled[first].waits_for or first
            verdict = replace(verdict, waits_for=first)
        settled[number] = verdict
    return settled


def _blocker(number: int, finding: Finding, settled: Mapping[int, Verdict]) -> int:
    open_needs = [need for need in needed(number) if need in settled and settled[need].finding]
    loading = finding.called.removeprefix("import ")
    if loading != finding.called:
        file = finding.place.file if finding.place else ""
        if file not in FILES:
            file = f"{loading}.py"
        first = first_of(file)
        if first in settled and settled[first].finding is not None:
            open_needs.append(first)
    for need in sorted(open_needs):
        return settled[need].waits_for or need
    return 0


def as_json(verdict: Verdict, language: str) -> dict[str, Any]:
    """Write a verdict as JSON has it."""
    one = task(verdict.number)
    said: dict[str, Any] = {
        "task": verdict.number,
        "file": one.file,
        "name": one.name,
        "verdict": verdict.state,
        "chapter": f"course/{one.chapter.name}",
    }
    finding = verdict.finding
    if verdict.waits_for:
        said["waits_for"] = verdict.waits_for
    elif finding is not None:
        said |= {
            "called": finding.called,
            "expected": finding.expected,
            "got": finding.got or finding.end,
            "line": None if finding.place is None else str(finding.place),
            "hint": finding.case.hint[language] if finding.case else "",
        }
    return said


def all_done(verdicts: Mapping[int, Verdict]) -> bool:
    """Tell whether no task is left."""
    return all(verdict.finding is None for verdict in verdicts.values())


def numbers(only: int | None) -> list[int]:
    """Return the tasks to run: all, or one and what it builds on."""
    return [one.number for one in TASKS] if only is None else [*needed(only), only]
