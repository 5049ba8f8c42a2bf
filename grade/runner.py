"""Grades folders: a copy for each task, a process for each copy, and an end for each process."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from grade import inside
from grade.cases import CASES
from grade.inside import Job
from grade.seen import Place, Step
from grade.sheet import TASKS, needed, task
from grade.verdict import Finding, Verdict, settle

#: Seconds until a process is killed that its own alarms did not end; many, for a busy machine.
PATIENCE = 300.0
#: What is copied: files up to this size in bytes, so many of them, so deep.
LARGEST, MOST, DEEPEST = 1 << 20, 500, 3
#: Folders that hold no code of theirs, and files that are databases.
LEFT_OUT = {"__pycache__", "venv", "env", "node_modules", "site-packages"}
DATABASES = (".db", ".sqlite", ".sqlite3", ".db-journal", ".db-wal", ".db-shm")

_context = multiprocessing.get_context("forkserver")


def load_early() -> None:
    """Let all processes begin with the libraries loaded; to be called before the first begins."""
    _context.set_forkserver_preload(["grade.inside"])


def copy(folder: Path, into: Path, depth: int = DEEPEST) -> None:
    """Copy a learner's files; databases, hidden files and what is no plain file stay behind."""
    into.mkdir(parents=True, exist_ok=True)
    left = MOST
    for path in sorted(folder.iterdir()):
        name = path.name
        try:
            about = path.stat()
        except OSError:
            continue
        if name.startswith(".") or name in LEFT_OUT or name.endswith(DATABASES):
            continue
        if stat.S_ISDIR(about.st_mode) and depth > 1 and not path.is_symlink():
            copy(path, into / name, depth - 1)
        elif stat.S_ISREG(about.st_mode) and about.st_size <= LARGEST and left:
            left -= 1
            with contextlib.suppress(OSError):  # a file they may not read is not there for us
                shutil.copyfile(path, into / name)


@dataclass
class _Running:
    folder: int
    job: Job
    process: Any
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE)


class Grading:
    """Folders, graded side by side."""

    def __init__(
        self,
        folders: Sequence[Path],
        numbers: Sequence[int],
        *,
        step: bool = False,
        mended: bool = False,
    ) -> None:
        """Take the folders, the numbers of the tasks, and whether every step is told.

        `mended` folders may differ from the sheet where a chapter's repair has to.
        """
        self._folders, self._numbers, self._step = folders, numbers, step
        self._mended = mended
        self._found: list[dict[int, Verdict]] = [{} for _ in folders]
        self._running: list[_Running] = []

    def run(self, width: int | None = None) -> list[dict[int, Verdict]]:
        """Return the verdicts of each folder by task; as many run at once as there are cores."""
        width = width or os.cpu_count() or 2
        with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as name:
            top = Path(name).resolve()
            try:
                for folder, number in self._waiting(top):
                    while len(self._running) >= width:
                        self._reap()
                    if stuck := self._stuck_by(folder, number):
                        blank = Finding(f"task {number}", end="time")
                        self._found[folder][number] = Verdict(number, blank, stuck)
                    else:
                        self._start(top, folder, number)
                while self._running:
                    self._reap()
            finally:
                for one in self._running:
                    _end(one.process)
        return [settle(found) for found in self._found]

    def _waiting(self, top: Path) -> Iterator[tuple[int, int]]:
        for index, folder in enumerate(self._folders):
            copy(folder, top / str(index) / "files")
            for number in self._numbers:
                yield index, number

    def _stuck_by(self, folder: int, number: int) -> int:
        """Give the task that spent its time on what this one would spend it on too, or 0."""
        found = self._found[folder]
        if number > len(TASKS):
            return 0
        files = {task(number).file, *(task(need).file for need in needed(number))}
        for other, verdict in found.items():
            stuck = verdict.finding
            if stuck is None or stuck.end != "time":
                continue
            loading = stuck.called.startswith("import ")
            if other in needed(number) or (loading and task(other).file in files):
                return other
        return 0

    def _start(self, top: Path, folder: int, number: int) -> None:
        own = top / str(folder) / str(number)
        shutil.copytree(top / str(folder) / "files", own / "files")
        (own / "scratch").mkdir()
        paths = (own / "files", own / "scratch", own / "said")
        job = Job(number, *paths, self._step, self._mended)
        process = _context.Process(target=inside.run, args=(job,))
        process.start()
        self._running.append(_Running(folder, job, process))

    def _reap(self) -> None:
        """Wait until one has ended or its time is over, and take down what it found."""
        first = min(one.until for one in self._running)
        wait([one.process.sentinel for one in self._running], max(0, first - time.monotonic()))
        for one in list(self._running):
            late = time.monotonic() >= one.until
            if one.process.exitcode is None and not late:
                continue
            status = _end(one.process)
            self._running.remove(one)
            found = read(one.job, late=late, status=status)
            self._found[one.folder][one.job.task] = found
            shutil.rmtree(one.job.said.parent, ignore_errors=True)


def _end(process: Any) -> int:
    """End a process and all of its group, and give its status."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
    status: int = process.exitcode
    process.close()
    return status


def read(job: Job, *, late: bool, status: int) -> Verdict:
    """Read what a process wrote down of its task."""
    try:
        lines = job.said.read_bytes().splitlines()
    except OSError:
        lines = []
    call, case, steps = f"task {job.task}", None, []
    for line in lines:
        facts = json.loads(line)
        call = facts.get("calling", call)
        case = next((one for one in CASES if one.name == facts.get("case")), case)
        steps += [Step(**step) for step in facts.get("steps", [])]
        if "done" in facts:
            return Verdict(job.task, steps=steps)
        if "found" in facts:
            found = dict(facts["found"])
            place = found.pop("place")
            where = None if place is None else Place(**place)
            return Verdict(job.task, Finding(**found, place=where, case=case), steps=steps)
    # A processor's time that ran out beyond the process's own alarm ends in SIGXCPU.
    timed_out = late or status == -signal.SIGXCPU
    got = "" if timed_out else str(status)
    end = "time" if timed_out else "ended"
    return Verdict(job.task, Finding(call, got=got, end=end, case=case), steps=steps)  # type: ignore[arg-type]  # both are ends


def grade(
    folder: Path, numbers: Sequence[int], *, step: bool = False, mended: bool = False
) -> dict[int, Verdict]:
    """Grade one folder, and return its verdicts by task."""
    return Grading([folder], numbers, step=step, mended=mended).run()[0]
