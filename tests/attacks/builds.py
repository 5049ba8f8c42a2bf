"""Starts targets by name: "course", "sqlite", "postgresql", "broken:<name of a patch>".

Starting takes a second or two, so the course and a service of each kind are shared by all the
attacks of a test process; each attack brings people of its own. A broken build, and the target of
an attack that stands alone, live for one attack.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.attacks import patch
from tests.attacks.attack import BROKEN, COURSE, Attack, How
from tests.attacks.target import COURSE as EXERCISE
from tests.attacks.target import Target
from tests.databases import KINDS, Databases

SERVICES = KINDS


class Builds:
    """The targets of one test process."""

    def __init__(self, folder: Path, databases: Databases, exercise: Path = EXERCISE) -> None:
        """Keep everything under a folder; `exercise` is where the four files of "course" lie."""
        self._folder = folder
        self._exercise = exercise
        self._databases = databases
        self._numbers = itertools.count(1)
        self._shared: dict[tuple[str, How, tuple[tuple[str, str], ...]], Target] = {}

    @contextlib.contextmanager
    def open(self, where: str, attack: Attack) -> Iterator[Target]:
        """Give the target an attack runs against; one of its own is stopped and removed."""
        if not attack.alone and not where.startswith(BROKEN):
            yield self.shared(where, attack.settings, attack.how)
            return
        target = self._made(where, attack.settings, attack.how)
        try:
            target.start()
            yield target
        finally:
            self._end(target)

    def shared(
        self, where: str, settings: Mapping[str, str] | None = None, how: How = "alone"
    ) -> Target:
        """Give the running target of this name and these settings, started at its first use."""
        # The course has no settings, so one serves all.
        key = (where, how, () if where == COURSE else tuple(sorted((settings or {}).items())))
        if key not in self._shared:
            made = self._made(where, settings or {}, how)
            made.start()
            self._shared[key] = made
        return self._shared[key]

    def close(self) -> None:
        """Stop everything."""
        for target in self._shared.values():
            self._end(target)
        self._shared.clear()

    def _made(self, where: str, settings: Mapping[str, str], how: How) -> Target:
        folder = self._folder / f"{next(self._numbers)}-{where.replace(':', '-')}"
        if where == COURSE:
            return Target(where, folder, f"sqlite:///{folder}/a.db", exercise=self._exercise)
        if where in SERVICES:
            return Target(where, folder, self._databases.fresh(where), settings, how=how)
        path = patch.build(where.removeprefix(BROKEN), folder)
        return Target(where, folder, self._databases.fresh("sqlite"), settings, path, how=how)

    def _end(self, target: Target) -> None:
        # Only the service has something to write at its end: which of its lines were run.
        target.stop(kill=target.name not in SERVICES)
        if target.name != COURSE:
            self._databases.drop(target.database)
