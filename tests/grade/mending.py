"""Repairs of the course, right ones and plausible wrong ones, as patches in the folder `repairs`.

The chapters ask for these and do not tell them: answers stand here only. The first line of a patch
says `It holds.`, or `Refused: ` and words of the reason that is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.attacks import patch
from tests.grade.variants import write

FOLDER = Path(__file__).parent / "repairs"
PREFIX = "course/"


@dataclass(frozen=True)
class Repair:
    """One repair of the course."""

    name: str
    #: Words that its refusal holds; empty where it is right.
    reason: str

    @property
    def attack(self) -> str:
        """The attack that it is to close."""
        return self.name.partition("_")[0]

    def write(self, folder: Path) -> Path:
        """Write the course into a folder, repaired."""
        patch.apply(self.name, write(folder, {}), FOLDER, PREFIX)
        return folder


def _read(file: Path) -> Repair:
    first = file.read_text("utf-8").partition("\n")[0]
    reason = "" if first == "It holds." else first.removeprefix("Refused: ")
    return Repair(file.stem, reason)


_ALL = [_read(file) for file in sorted(FOLDER.glob("*.patch"))]
RIGHT = [one for one in _ALL if not one.reason]
WRONG = [one for one in _ALL if one.reason]
