"""What the time of an answer says about an email: somebody's, nobody's, and nobody's once more.

Every path that takes an email from anybody is asked in threes whose order changes. The difference
between somebody and nobody is set beside the one between two nobodies, which is what this machine
makes of nothing. Each question comes from an ip of its own, as limits would answer otherwise.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from bench.servers import PASSWORD, Server, ask
from bienvenue import DB
from bienvenue.hashing import Hasher

WRONG = "dix grenouilles sous la neige"
SOMEBODY, NOBODY, CONTROL = range(3)


@dataclass(frozen=True)
class Dispatcher:
    """A path that takes an email, and what else is sent there."""

    path: str
    rest: str = ""
    #: Of how many of the people it is asked: a hash takes its time.
    share: float = 1.0

    def form(self, email: str) -> str:
        """Give the body for an email."""
        return f"email={quote_plus(email)}{self.rest}"


DOORS = (
    Dispatcher("/sessions", f"&password={quote_plus(WRONG)}", share=0.15),
    Dispatcher("/users", f"&password={quote_plus(WRONG)}", share=0.15),
    Dispatcher("/reset_password"),
    Dispatcher("/email/verification/resend"),
)


@dataclass
class Heard:
    """What came of the questions at one door: milliseconds by whose email it was, in threes."""

    door: Dispatcher
    waits: list[tuple[float, ...]] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def middle(self, whose: int) -> float:
        """Give the median of the milliseconds."""
        return statistics.median(three[whose] for three in self.waits)

    def difference(self, one: int, other: int) -> tuple[float, float]:
        """Give the median of the differences within threes, and its 95 % interval's half width.

        The interval is that of the median by order statistics.
        """
        found = sorted(three[one] - three[other] for three in self.waits)
        reach = 0.98 * len(found) ** 0.5
        low = found[max(0, int(len(found) / 2 - reach))]
        high = found[min(len(found) - 1, int(len(found) / 2 + reach))]
        return statistics.median(found), (high - low) / 2


def people(url: str, many: int, cost: int) -> list[str]:
    """Make accounts with one password in the database of a service; give their emails."""
    database = DB(url)
    hashed = Hasher(cost).hash(PASSWORD).decode()
    emails = [f"known{number}@example.org" for number in range(many)]
    for email in emails:
        database.add_user(email, hashed)
    database.close()
    return emails


def listen(server: Server, emails: list[str]) -> list[Heard]:
    """Ask at every door for each of these emails, and for as many of nobody, twice."""
    heard = [Heard(door) for door in DOORS]
    sources = _sources()
    for door in DOORS:
        # The first answer of a process takes as long as loading what it is made of.
        ask(server.port, "POST", door.path, door.form(emails[0]), source=next(sources))
    orders = itertools.cycle(itertools.permutations((SOMEBODY, NOBODY, CONTROL)))
    for number, email in enumerate(emails):
        # As long as the known one, so that nothing but the account differs.
        three = (email, f"knowm{number}@example.org", f"knowl{number}@example.org")
        for found in heard:
            if number >= max(1, found.door.share * len(emails)):
                continue
            waits = [0.0] * len(three)
            for whose in next(orders):
                began = time.perf_counter()
                form = found.door.form(three[whose])
                answer = ask(server.port, "POST", found.door.path, form, source=next(sources))
                waits[whose] = (time.perf_counter() - began) * 1000
                found.statuses.add(answer.status)
            found.waits.append(tuple(waits))
    return heard


def _sources() -> Iterator[str]:
    """Give an ip of this machine after another, each a network of its own."""
    for number in itertools.count(os.getpid() % 1000 * 1000):
        yield f"127.{16 + number // 62500 % 200}.{number // 250 % 250}.{number % 250 + 1}"


def report(name: str, heard: list[Heard]) -> None:
    """Print what every door said."""
    print(f"\nDoes the time of an answer tell who has an account? On {name}, in milliseconds")
    for found in heard:
        told, width = found.difference(SOMEBODY, NOBODY)
        nothing, noise = found.difference(CONTROL, NOBODY)
        print(
            f"  POST {found.door.path:25} somebody {found.middle(SOMEBODY):8.2f}, "
            f"nobody {found.middle(NOBODY):8.2f}; "
            f"difference {told:+.3f} ± {width:.3f}, of two nobodies {nothing:+.3f} ± {noise:.3f}; "
            f"heard {sorted(found.statuses)}",
            flush=True,
        )
