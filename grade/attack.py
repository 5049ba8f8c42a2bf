"""Runs the attacks of `tests/attacks` on a learner's files, beside the service.

`make attack` shows what each of them makes of the files. `make grade MENDED=1` asks for a repair:
the attack of a chapter must lose, and what the sheet says must still hold.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from grade import runner, verdict
from grade.cases import of_learners
from grade.sheet import COURSE
from grade.show import outcome
from grade.words import say
from tests.attacks import nursery
from tests.attacks.attack import Attack, Won, load
from tests.attacks.builds import Builds
from tests.attacks.harness import COURSE_COST
from tests.databases import Databases

#: The task that must be done before an attack can be tried: the last page that it asks for.
PROFILE = 16
NEEDS = {
    8: {"A08", "B06"},
    12: {"A07", "B01", "B12", "C01", "C02", "C07", "C09", "C11", "C17", "D02", "D07", "G01", "L08"},
    20: {"A01", "A04", "B07", "D09", "E05", "E06", "E13", "F11", "M04", "M08"},
}
_ATTACK = re.compile(r"make -C \.\. attack FOLDER=course ONLY=(\w\d\d)")


@dataclass(frozen=True)
class Chapter:
    """A chapter whose attack the four files can meet, and what a repair must make lose."""

    number: int
    path: Path
    attack: str
    #: The functions of `tests/attacks` that must lose.
    closes: tuple[str, ...]


#: Which of an id's attacks a repair is held against, where it is not all that win on the course;
#: of another id where a repair that stops this one may open that one.
CLOSES = {
    "C01": ("guessing_in_a_row",),
    "D02": ("a_long_passphrase_breaks_it", "only_the_beginning_counts"),
}


def chapters() -> list[Chapter]:
    """Return the chapters with an attack, in order."""
    found = []
    for path in sorted(COURSE.glob("[0-9]*.md")):
        told = _ATTACK.search(path.read_text("utf-8"))
        if told is not None:
            names = [one.name for one in load() if one.id == told[1] and "course" in one.wins]
            closes = CLOSES.get(told[1], tuple(names))
            found.append(Chapter(int(path.name[:2]), path, told[1], closes))
    return found


def needed_task(attack: str) -> int:
    """Return the task that must be done before this attack can be tried."""
    return next((task for task, ids in NEEDS.items() if attack in ids), PROFILE)


@contextlib.contextmanager
def builds(folder: Path) -> Iterator[Builds]:
    """Give the targets: a copy of the learner's files as "course", and the service."""
    with tempfile.TemporaryDirectory(prefix="attack-", ignore_cleanup_errors=True) as name:
        top = Path(name).resolve()
        runner.copy(folder, top / "files")
        made = Builds(top / "targets", Databases(top), top / "files")
        with contextlib.closing(made):
            yield made


def tried(made: Builds, attack: Attack, where: str) -> tuple[str, str]:
    """Run an attack; say whether it won, was refused or could not be tried, and what came of it."""
    try:
        with made.open(where, attack) as target:
            came = attack.run(target)
    except Exception as error:
        # Neither won nor lost: what the attack asked for came in no form that it knows.
        said = " ".join(str(error).split())[:200]
        return "untried", f"{type(error).__name__}: {said}"
    return "won" if isinstance(came, Won) else "refused", came.why


def wanted(only: str) -> list[Attack]:
    """Return the attacks that win on the course, all or those of one id; none has another id."""
    return [one for one in load() if "course" in one.wins and only in ("", one.id)]


def show(folder: Path, only: str, language: str) -> Iterator[str]:
    """Run every attack that wins on the course, or those of one id, and say what came of each."""
    attacks = wanted(only)
    told = {chapter.attack: chapter for chapter in chapters()}
    asked = {need for one in attacks for need in verdict.numbers(needed_task(one.id))}
    verdicts = runner.grade(folder, sorted(asked), mended=True)
    yield say(language, "warning")
    yield say(language, "cost", cost=COURSE_COST, rounds=2**COURSE_COST)
    with builds(folder) as made:
        for attack in attacks:
            chapter = told.get(attack.id)
            title = f"  course/{chapter.path.name}" if chapter else ""
            yield f"\n{attack.id}: {attack.sentence}{title}"
            missing = verdicts[needed_task(attack.id)]
            if missing.finding is not None:
                number = missing.waits_for or missing.number
                yield f"  {say(language, 'yours')}: {say(language, 'waits', task=number)}"
                continue
            for where, name in (("course", "yours"), ("sqlite", "the service")):
                state, why = tried(made, attack, where)
                yield f"  {say(language, name)}: {say(language, state)}: {why}"
    yield "\n" + say(language, "close it", folder=folder)


def mended(folder: Path, only: Collection[str], language: str) -> Iterator[tuple[bool, str]]:
    """Check the repairs of chapters: say of each whether it holds, and why not."""
    asked = [one for one in chapters() if not only or one.attack in only]
    extra = [one.number for one in asked if of_learners(one.number)]
    graded = runner.grade(folder, extra, mended=True) if extra else {}
    attacks = {one.name: one for one in load()}
    with builds(folder) as made:
        for chapter in asked:
            against = []
            for name in chapter.closes:
                state, why = tried(made, attacks[name], "course")
                if state != "refused":
                    against.append(why)
            # One attack tells enough; what a case found is the same on every machine.
            del against[1:]
            found = graded[chapter.number].finding if chapter.number in graded else None
            if found is not None:
                said = f"{found.called}: {found.expected}, {outcome(found, language)}"
                against.append(said + (f" ({found.case.hint[language]})" if found.case else ""))
            state = say(language, "open" if against else "closed")
            said = f": {'; '.join(against)}" if against else ""
            yield not against, f"{chapter.number:3}. {chapter.attack}  {state}{said}"


def prepare(*, few: bool) -> None:
    """Let processes begin with what they need; to be called before the first one begins."""
    if few:
        nursery.load_nothing()
