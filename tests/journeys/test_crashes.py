"""The server that is shipped, killed under load: nothing that it said it had done is lost."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from pathlib import Path

import pytest

from tests.attacks.m_crashes import Diary, torn
from tests.attacks.target import OUT_OF_REACH, Person, Target
from tests.databases import KINDS, Databases
from tests.journeys.serving import KILLS, Served, answers, serving
from tests.ports import wait_until

pytestmark = pytest.mark.slow
_PATIENCE = 30.0


def kill_one(served: Served) -> None:
    """Kill the older of the two processes that serve, and wait until there are two again.

    The younger one would be taken for a process that cannot start, and the service would give up.
    """
    before = served.workers()
    os.kill(before[0], signal.SIGKILL)
    assert wait_until(lambda: len(set(served.workers()) - set(before)) == 1, _PATIENCE)
    assert wait_until(lambda: all(answers(served) for _ in range(8)), _PATIENCE)


def kept_until_killed(served: Served, target: Target, people: list[Person], kill: int) -> Diary:
    """Let people live until a few things were promised, and kill under their hands."""
    diary = Diary(target)
    writers = [diary.registering, *(diary.living(person) for person in people)]
    threads = [threading.Thread(target=writer) for writer in writers]
    for thread in threads:
        thread.start()
    enough = 3 + kill % 7
    assert wait_until(lambda: diary.promises >= enough or diary.trouble != "", _PATIENCE)
    diary.over = True
    kill_one(served)
    for thread in threads:
        thread.join(_PATIENCE)
    return diary


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_promised_is_lost(kind: str, databases: Databases, tmp_path: Path) -> None:
    """Twenty kills under people who register, change passwords and sign out all the time."""
    target = Target(kind, tmp_path, databases.fresh(kind))
    (tmp_path / "keys").write_text(secrets.token_hex(32))
    (tmp_path / "hashes").touch()
    settings = {"database_url": target.database, "secret_key_file": str(tmp_path / "keys")}
    promised = 0
    with serving(tmp_path, "--workers", "2", **settings, **OUT_OF_REACH) as served:
        target.port = served.port
        people = [target.person(), target.person()]
        for kill in range(KILLS):
            diary = kept_until_killed(served, target, people, kill)
            assert not diary.lost()
            assert not torn(target)
            promised += diary.promises
        assert served.stop() == 0
    databases.drop(target.database)
    assert promised >= 3 * KILLS
