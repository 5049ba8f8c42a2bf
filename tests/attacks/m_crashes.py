"""M: a process that is killed in the middle of writing."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Visitor
from tests.attacks.target import Person, Target, TargetFails
from tests.ports import wait_until
from tests.thorough import often

KILLS = often(2, 5)
_PATIENCE = 30.0
_MOST_WRITES = 200
_numbers = itertools.count(1)
#: What a visitor meets when the process dies under a request.
_CUT = (OSError, http.client.HTTPException)


@attack(
    "M01",
    "Killed in the middle of writing, the service forgets what it said it had done.",
    wins="broken:M01_answers_before_it_writes",
    alone=True,
)
def what_was_promised_is_lost(target: Target) -> Outcome:
    """Register, change passwords and sign out all the time; kill it, start it, and ask again."""
    supervise(target)
    people = [target.person(), target.person()]
    promised = 0
    for kill in range(KILLS):
        diary = Diary(target)
        writers = [diary.registering, *(diary.living(person) for person in people)]
        run_until(diary, 1 + kill % 7, writers)
        if lost := diary.lost() or torn(target):
            return Won(f"after kill {kill + 1}: {lost}")
        promised += diary.promises
    return Refused(f"{KILLS} kills, {promised} promises, all kept, and nothing half done")


def supervise(target: Target) -> None:
    """Start it again in the care of a process that starts it whenever it dies."""
    target.stop()
    (target.folder / "supervised").touch()
    target.start()


def run_until(diary: Diary, enough: int, writers: list[Callable[[], None]]) -> None:
    """Run the writers until enough was promised, and kill the target under their hands."""
    threads = [threading.Thread(target=writer) for writer in writers]
    for thread in threads:
        thread.start()
    wait_until(lambda: diary.promises >= enough or diary.trouble != "", _PATIENCE)
    diary.over = True
    kill_child(diary.target)
    for thread in threads:
        thread.join(_PATIENCE)


def kill_child(target: Target) -> None:
    """Kill the process that serves a supervised target, and wait until it has a successor."""
    serving = (target.folder / "child").read_text
    killed = serving()
    os.kill(int(killed), signal.SIGKILL)
    wait_until(lambda: serving() != killed, _PATIENCE)


def torn(target: Target) -> str:
    """Name a row that only half a write can have left; nothing when there is none."""
    dump = target.dump()
    generations = {user["id"]: user["session_id"] for user in dump["users"]}
    for row in dump["sessions"]:
        if row["user_id"] not in generations:
            return "a session without an account"
        if row["generation"] != generations[row["user_id"]]:
            return "a session beside the generation of its account"
    if len({user["email"] for user in dump["users"]}) < len(generations):
        return "an email with two accounts"
    return ""


@dataclass
class Diary:
    """What the service said it had done, written down as soon as it said so."""

    target: Target
    promises: int = 0
    #: Whether the process is being killed, and what went wrong before it was.
    over: bool = False
    trouble: str = ""
    registered: list[Person] = field(default_factory=list)
    #: Secrets that are open, and those that must not open anything any more.
    opened: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    #: Who has which password now, and the one that was on its way when the process died.
    changing: dict[str, tuple[Person, str]] = field(default_factory=dict)

    def registering(self) -> None:
        """Register and sign in one person after another until no one answers."""

        def register(_: int) -> None:
            person = self.target.newcomer().register()
            self.registered.append(person)
            self.opened.append(person.sign_in().cookies["session_id"])
            self.promises += 2

        self._again_and_again(register)

    def living(self, person: Person) -> Callable[[], None]:
        """Give a life for a thread: sign in, change the password, sign out, until it is cut."""
        return lambda: self._again_and_again(lambda _: self._day(person))

    def _again_and_again(self, write: Callable[[int], None]) -> None:
        try:
            for number in range(_MOST_WRITES):
                if self.over:
                    return
                write(number)
        except _CUT:
            return
        except TargetFails as failure:
            self.trouble = str(failure)

    def _day(self, person: Person) -> None:
        browser = person.sign_in()
        first = browser.cookies["session_id"]
        new = f"grenouilles sous la pluie, {next(_numbers)}"
        self.changing[person.email] = (person, new)
        form = {"old_password": person.password, "new_password": new}
        if not (reply := browser.put("/password", **form)).ok:
            raise TargetFails(f"changing a password answered {reply.status}")
        person.password = new
        del self.changing[person.email]
        self.promises += 1
        self.ended.append(first)
        second = browser.cookies["session_id"]
        if not (reply := browser.delete("/sessions")).ok:
            raise TargetFails(f"signing out answered {reply.status}")
        self.promises += 1
        self.ended.append(second)

    def lost(self) -> str:
        """Name something that was promised and is not so; nothing when there is none."""
        for person in self.registered:
            if not person.try_password(person.password).ok:
                return "an account that was made is not there"
        for secret in self.opened:
            if not self._opens(secret):
                return "a session that was opened is not there"
        for secret in self.ended:
            if self._opens(secret):
                return "a session that was ended lives again"
        for person, new in self.changing.values():
            works = [word for word in (person.password, new) if person.try_password(word).ok]
            if len(works) != 1:
                return f"of the old password and the new one {len(works)} work"
            person.password = works[0]
        return self.trouble

    def _opens(self, secret: str) -> bool:
        browser = Visitor(self.target, cookies={"session_id": secret})
        return browser.get("/profile").ok
