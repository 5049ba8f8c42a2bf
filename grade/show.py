"""Shows verdicts: as text, as a table of a class, as JSON, and as JUnit XML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from grade.seen import Step
from grade.sheet import TASKS, task
from grade.verdict import DONE, NOT_YET, WAITS, Finding, Verdict
from grade.words import say

Verdicts = Mapping[int, Verdict]
_WIDE = 30


def as_text(verdicts: Verdicts, language: str) -> Iterator[str]:
    """Give the lines of a folder's verdicts."""
    for number, verdict in sorted(verdicts.items()):
        one = task(number)
        said = say(language, verdict.state, task=verdict.waits_for)
        yield f"{number:3}. {one.file:8} {one.name:{_WIDE}} {said}"
        for step in verdict.steps:
            yield from _step(step, language)
        if verdict.state == NOT_YET and verdict.finding is not None:
            yield from _finding(number, verdict.finding, language)


def outcome(finding: Finding, language: str) -> str:
    """Say what came of a call."""
    if finding.end in {"", "missing"}:
        return finding.got
    return say(language, finding.end, status=finding.got)


def _finding(number: int, finding: Finding, language: str) -> Iterator[str]:
    case = finding.case
    lines = {
        "called": finding.called,
        "expected": finding.expected or say(language, "no error"),
        "got": outcome(finding, language),
        "line": "" if finding.place is None else str(finding.place),
        "sheet": "" if case is None else case.sentence,
        "chapter": f"course/{task(number).chapter.name}",
        "hint": "" if case is None else case.hint[language],
    }
    if finding.end == "missing":
        # Nothing is wrong yet. The sheet as it was handed out ends before the last tasks.
        lines = {key: lines[key] for key in ("got", "sheet", "chapter", "hint")}
    for key, value in lines.items():
        if value:
            yield f"       {say(language, key):9} {value}"


def _step(step: Step, language: str) -> Iterator[str]:
    yield f"       > {step.call}"
    if step.before != step.after:
        for key, rows in (("before", step.before), ("after", step.after)):
            said = [", ".join(f"{name}={value!r}" for name, value in row.items()) for row in rows]
            for row in said or [say(language, "no rows")]:
                yield f"         {say(language, key):8} {row}"
    yield f"         {say(language, 'answer'):8} {step.answer}"


def summary(
    verdicts: Verdicts, language: str, folder: str, shown: Verdicts | None = None
) -> Iterator[str]:
    """Say how many tasks are done, and where to go on among these or those that are shown."""
    done = sum(verdict.state == DONE for verdict in verdicts.values())
    yield say(language, "summary", done=done, all=len(verdicts))
    told = sorted((shown or verdicts).items())
    left = [number for number, verdict in told if verdict.state == NOT_YET]
    if left:
        chapter = f"course/{task(left[0]).chapter.name}"
        yield say(language, "next", task=left[0], chapter=chapter)
    elif len(verdicts) == len(TASKS):
        yield say(language, "finished", folder=folder)


_MARKS = {DONE: "+", NOT_YET: "-", WAITS: "."}


def as_table(names: Sequence[str], graded: Sequence[Verdicts], language: str) -> Iterator[str]:
    """Give the table of a class: a line each, a sign for each task, and where each stands."""
    wide = max([len(say(language, "folder")), *map(len, names)])
    numbers = sorted({number for verdicts in graded for number in verdicts})
    head = " ".join(f"{number:2}" for number in numbers)
    yield f"{say(language, 'folder'):{wide}}  {head}  {say(language, 'first open')}"
    for name, verdicts in zip(names, graded, strict=True):
        marks = " ".join(f" {_MARKS[verdicts[number].state]}" for number in numbers)
        left = [n for n, verdict in sorted(verdicts.items()) if verdict.state == NOT_YET]
        said = f"{left[0]} {task(left[0]).name}" if left else "-"
        yield f"{name:{wide}}  {marks}  {said}"
    signs = ", ".join(f"{_MARKS[s]} {say(language, s, task='…')}" for s in (DONE, NOT_YET, WAITS))
    yield signs


def as_junit(names: Sequence[str], graded: Sequence[Verdicts], language: str) -> str:
    """Return JUnit XML: a suite for each folder, a test for each task.

    A task that is not yet done is a failure, and one that waits is skipped.
    """
    top = ET.Element("testsuites")
    for name, verdicts in zip(names, graded, strict=True):
        states = [verdict.state for verdict in verdicts.values()]
        counts = {"tests": len(states), "failures": states.count(NOT_YET)}
        suite = ET.SubElement(
            top,
            "testsuite",
            {"name": name, **{key: str(value) for key, value in counts.items()}},
            skipped=str(states.count(WAITS)),
        )
        for number, verdict in sorted(verdicts.items()):
            one = task(number)
            made = ET.SubElement(
                suite, "testcase", classname=f"{name}.{one.file}", name=f"{number:02} {one.name}"
            )
            said = say(language, verdict.state, task=verdict.waits_for)
            if verdict.state == WAITS:
                ET.SubElement(made, "skipped", message=said)
            elif verdict.finding is not None:
                failure = ET.SubElement(made, "failure", message=said)
                failure.text = "\n".join(
                    _clean(line.strip()) for line in _finding(number, verdict.finding, language)
                )
    ET.indent(top)
    return ET.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    """Leave out what XML cannot hold."""
    return "".join(sign for sign in text if sign.isprintable())


def counted(verdicts: Verdicts) -> dict[str, Any]:
    """Count the verdicts by their state."""
    states = [verdict.state for verdict in verdicts.values()]
    return {state: states.count(state) for state in (DONE, NOT_YET, WAITS)}
