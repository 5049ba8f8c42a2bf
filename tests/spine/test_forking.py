"""Forking: a process that is forked with an open service shares no connection with its parent."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from bienvenue import db, hash_queue
from tests.databases import Databases

pytestmark = pytest.mark.statements

#: A server that loads the application before it forks. Its parent holds an idle connection, one of
#: its thread and, while it forks, a transaction.
PARENT = """
import json, os, sys
from sqlalchemy import text
from bienvenue import DB

db = DB(sys.argv[1])
def backend():
    if not db.on_postgresql:
        return os.getpid()
    with db.reading() as tx:
        return tx.execute(text("SELECT pg_backend_pid()")).scalar_one()

def kept():
    return db.fetch_row("SELECT pg_backend_pid()", {})[0] if db.on_postgresql else os.getpid()

db.fetch_row("SELECT 1", {})
first = [backend(), kept()]
"""


def run(code: str, url: str) -> str:
    """Run code in an interpreter of its own and return what it printed."""
    ran = subprocess.run(
        [sys.executable, "-c", PARENT + code, url], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_parent_and_child_have_connections_of_their_own(database: str) -> None:
    """And when the child ends, those of its parent still work."""
    printed = run(
        """
child = os.fork()
if not child:
    print(json.dumps([backend(), kept()]))
    db.add_user("child@example.com", "hash")
    db.close()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
again = [backend(), kept()]
db.add_user("parent@example.com", "hash")
print(json.dumps(first)); print(json.dumps(again))
db.close()
""",
        database,
    )
    child, before, after = map(json.loads, printed.splitlines())
    assert not set(child) & set(before)
    assert before == after


def test_a_transaction_of_the_parent_outlives_a_child_that_ends(database: str) -> None:
    """The child closes neither the connection in use nor what another thread holds."""
    printed = run(
        """
import threading
held, go_on = threading.Event(), threading.Event()
def other():
    kept(); held.set(); go_on.wait(); kept()
thread = threading.Thread(target=other)
thread.start(); held.wait()
if not (child := os.fork()):
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
with db.transaction():
    db.add_user("parent@example.com", "hash")
    child = os.fork()
    if not child:
        db.close(); os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
go_on.set(); thread.join()
print(db.find_user_by(email="parent@example.com").email)
db.close()
""",
        database,
    )
    assert printed == "parent@example.com\n"


def test_a_child_of_a_sqlite_file_holds_its_locks(databases: Databases) -> None:
    """When the parent ends first, it must not delete the write-ahead log its child writes to."""
    url = databases.fresh("sqlite")
    printed = run(
        """
theirs, mine = os.pipe(), os.pipe()
child = os.fork()
if not child:
    db.add_user("child@example.com", "hash")
    os.write(mine[1], b"x"); os.read(theirs[0], 1)
    db.add_user("later@example.com", "hash")
    os._exit(0)
os.read(mine[0], 1)
log = db.file.with_name(db.file.name + "-wal")
db.close()
print(log.exists())
os.write(theirs[1], b"x")
assert os.waitpid(child, 0)[1] == 0
print(db.find_user_by(email="later@example.com").email)
db.close()
""",
        url,
    )
    assert printed == "True\nlater@example.com\n"
    databases.drop(url)


def test_a_child_hashes_on_threads_of_its_own(tmp_path: Path) -> None:
    """Those of its parent, which hashed before, are not there."""
    code = """
import os
from bienvenue.hash_queue import HashQueue
queue = HashQueue(1, 1)
with queue.place("unknown"):
    assert queue.run(os.getpid) == os.getpid()
    child = os.fork()
    if not child:
        with queue.place("192.0.2.1/32"), queue.place("other"):
            raise SystemExit(queue.run(os.getpid) != os.getpid())
assert os.waitpid(child, 0)[1] == 0
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize("module", [db, hash_queue])
def test_where_no_process_forks(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module loads there too."""
    monkeypatch.delattr(os, "register_at_fork")
    path = str(getattr(module, "__file__", ""))
    assert runpy.run_path(path)["__file__"] == path
