"""Runs in a process of its own: tries one task of a learner's files, and writes down what came."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grade import confine
from grade.cases import Case, of_learners
from grade.half import Half
from grade.learner import Learner
from grade.seen import Missing, Unmet, text_of


@dataclass(frozen=True)
class Job:
    """One task of one folder."""

    task: int
    #: A copy of their files that is this task's alone, and a folder for databases.
    files: Path
    scratch: Path
    #: Where the process writes what it finds, a line of JSON each.
    said: Path
    #: Whether every step is told, with the rows of the table.
    step: bool = False
    #: Whether the files may differ from the sheet where a chapter's repair has to.
    mended: bool = False


def run(job: Job) -> None:
    """Try every case of the task until one fails, and end the process."""
    with contextlib.suppress(OSError):
        os.setsid()
    line = os.open(job.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    mine = os.getpid()

    def say(**facts: Any) -> None:
        if os.getpid() != mine:  # their code forked, and the verdict is for one of the two
            os._exit(0)
        os.write(line, json.dumps(facts).encode() + b"\n")

    confine.begin(job.scratch, job.scratch / "printed")
    with Learner(
        job.files,
        job.scratch,
        calling=lambda call: say(calling=call),
        step=job.step,
        mended=job.mended,
    ) as half:
        for case in of_learners(job.task):
            say(case=case.name)
            half.fresh()
            found = tried(case, half)
            if job.step:
                say(steps=[asdict(step) for step in half.log.steps])
                half.log.steps.clear()
            if found is not None:
                say(found=found)
                break
        else:
            say(done=True)
        # Threads and exit handlers of theirs are not waited for.
        os._exit(0)


def tried(case: Case, half: Half) -> dict[str, Any] | None:
    """Run a case, and give what it found, or None where all is as the sheet says."""
    try:
        case.run(half)
    except Unmet as unmet:
        place = unmet.place or half.log.place or half.route_of(half.log.call)
        end = "missing" if isinstance(unmet, Missing) else ""
        return _found(unmet.called, unmet.expected, unmet.got, place, end)
    except confine.TimeUp as error:
        return _found(half.log.call, "", "", half.log.innermost(error), "time")
    except MemoryError as error:
        return _found(half.log.call, "", "", half.log.innermost(error), "memory")
    except BaseException as error:
        place = half.log.innermost(error)
        if place is None and half.log.got:
            # It came up in the case, which could not go on with what the last call gave.
            return _found(half.log.call, "another value", half.log.got, half.log.place)
        return _found(half.log.call, "", text_of(error), place or half.log.place)
    return None


def _found(called: str, expected: str, got: str, place: object, end: str = "") -> dict[str, Any]:
    where = None if place is None else asdict(place)  # type: ignore[call-overload]  # a Place
    return {"called": called, "expected": expected, "got": got, "place": where, "end": end}
