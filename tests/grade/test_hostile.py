"""Files as they come: half finished, broken, up to mischief; the rest is graded all the same."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from grade import runner, verdict
from grade.inside import Job
from grade.sheet import COURSE, TASKS
from grade.verdict import DONE, NOT_YET, Verdict
from tests.grade.variants import write

ALL = [one.number for one in TASKS]
HASH = '    """Return a salted hash of the password."""\n'
UUID = '    """Return a new UUID as a string."""\n'
GUARD = (
    'if __name__ == "__main__":\n'
    '    app.run(host="localhost", port=int(os.environ.get("PORT", "5000")))'
)


def graded(folder: Path, *numbers: int) -> dict[int, Verdict]:
    """Grade a folder, all of it or some tasks with what they need."""
    wanted = sorted({need for number in numbers for need in verdict.numbers(number)})
    return runner.grade(folder, wanted or ALL)


def of(found: dict[int, Verdict], state: str) -> list[int]:
    """Give the tasks of a state."""
    return [number for number, one in found.items() if one.state == state]


@pytest.mark.thorough
def test_a_half_finished_folder(tmp_path: Path) -> None:
    """Four tasks are written: the next one is named, and what builds on it waits."""
    mine = write(tmp_path / "mine half done", {})
    (mine / "auth.py").unlink()
    (mine / "app.py").write_text("")
    found = graded(mine)
    assert of(found, DONE) == [1, 2, 3, 4]
    assert of(found, NOT_YET) == [5, 7]
    finding = found[5].finding
    assert finding is not None
    assert finding.got == "no auth.py in the folder"
    assert found[6].waits_for == found[10].waits_for == 5


def test_a_syntax_error_is_its_first_tasks(tmp_path: Path) -> None:
    """With its line; the files that do not need it are graded."""
    mine = write(tmp_path, {"auth.py": ((UUID, UUID + "    if\n"),)})
    found = graded(mine)
    assert of(found, DONE) == [1, 2, 3, 4]
    assert of(found, NOT_YET) == [5]
    finding = found[5].finding
    assert finding is not None
    assert str(finding.place).startswith("auth.py:")
    assert finding.got.startswith("SyntaxError")


#: What stands at the beginning of `_generate_uuid`, and what is said of it.
MISCHIEF = {
    "an endless loop": ("    while True:\n        pass\n", "time", ""),
    "a loop that hears nothing": (
        """    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
        "time",
        "",
    ),
    "sys.exit": ("    import sys\n    sys.exit(3)\n", "", "SystemExit: 3"),
    "os._exit": ("    import os\n    os._exit(7)\n", "ended", "7"),
    "no memory": ("    return 'x' * (1 << 40)\n", "memory", ""),
    "input": ("    return input()\n", "", "EOFError"),
    "recursion": ("    return _generate_uuid()\n", "", "RecursionError"),
    "another machine": (
        "    import socket\n    socket.create_connection(('192.0.2.1', 80), 5)\n",
        "",
        "NotLoopback: 192.0.2.1 is another machine",
    ),
    "a name elsewhere": (
        "    import urllib.request\n    urllib.request.urlopen('http://elsewhere.example/')\n",
        "",
        "URLError",
    ),
}


#: `make test` shows one that raises and one that ends its process.
FEW = {"os._exit"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in FEW else [pytest.mark.thorough]) for name in MISCHIEF],
)
def test_mischief_is_that_tasks_verdict(name: str, tmp_path: Path) -> None:
    """And a task that does not need the function is done."""
    body, end, got = MISCHIEF[name]
    mine = write(tmp_path, {"auth.py": ((UUID, UUID + body),)})
    found = graded(mine, 9, 10)
    assert of(found, NOT_YET) == [10]
    assert found[9].state == DONE
    finding = found[10].finding
    assert finding is not None
    assert finding.end == end
    assert finding.got.startswith(got)
    assert finding.called == "_generate_uuid()"


@pytest.mark.thorough
def test_a_flood_of_output_is_cut(tmp_path: Path) -> None:
    """It fills no disk: a file takes sixteen megabytes, and the print after that fails."""
    body = "    while True:\n        print('x' * 1_000_000)\n"
    mine = write(tmp_path, {"auth.py": ((UUID, UUID + body),)})
    found = graded(mine, 10)
    finding = found[10].finding
    assert finding is not None
    assert finding.got.startswith("OSError")


@pytest.mark.thorough
def test_a_taken_port_is_none_of_our_business(tmp_path: Path) -> None:
    """An app that is served without a guard is loaded, whoever listens where it would."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        guard = GUARD
        mine = write(tmp_path, {"app.py": ((guard, f'app.run("127.0.0.1", {port})'),)})
        found = graded(mine, 7)
    assert found[7].state == DONE


@pytest.mark.thorough
def test_a_port_that_the_file_takes_itself(tmp_path: Path) -> None:
    """What fails while the file is loaded is the file's first task's, with the line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        body = f"import socket\n\nTAKEN = socket.create_server(('127.0.0.1', {port}))\n"
        mine = write(tmp_path, {"app.py": (("import os\n", f"import os\n{body}"),)})
        found = graded(mine, 8)
    assert of(found, NOT_YET) == [7]
    finding = found[7].finding
    assert finding is not None
    assert "Address already in use" in finding.got
    assert str(finding.place).startswith("app.py:")


@pytest.mark.thorough
def test_forks_are_few_and_end(tmp_path: Path) -> None:
    """A loop of forks makes a handful of processes, and none of them outlives the task."""
    body = f"""    import os
    while True:
        os.fork()
        open({str(tmp_path / "pids")!r}, "a").write(f"{{os.getpid()}}\\n")
"""
    mine = write(tmp_path / "mine", {"auth.py": ((UUID, UUID + body),)})
    found = graded(mine, 9, 10)
    assert of(found, NOT_YET) == [10]
    assert found[9].state == DONE
    pids = {int(line) for line in (tmp_path / "pids").read_text().split()}
    assert 1 < len(pids) <= 64
    deadline = time.monotonic() + 30
    while any(map(_lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.thorough
def test_a_child_left_behind_ends(tmp_path: Path) -> None:
    """What a program starts belongs to its group, and ends with the task."""
    pid = tmp_path / "pid"
    body = f"""    import subprocess
    made = subprocess.Popen(["sleep", "1000"])
    open({str(pid)!r}, "w").write(str(made.pid))
"""
    mine = write(tmp_path / "mine", {"auth.py": ((UUID, UUID + body),)})
    found = graded(mine, 10)
    assert found[10].state == DONE
    deadline = time.monotonic() + 30
    while _lives(int(pid.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(int(pid.read_text()))


@pytest.mark.thorough
def test_a_deleted_file_is_deleted_in_the_copy(tmp_path: Path) -> None:
    """The next task has a copy of its own."""
    body = """    import os
    import user
    if os.path.exists(user.__file__):
        os.remove(user.__file__)
"""
    mine = write(tmp_path / "mine", {"auth.py": ((UUID, UUID + body),)})
    found = graded(mine, 10, 13)
    assert of(found, NOT_YET) == [11]
    assert found[10].state == DONE
    assert (mine / "user.py").exists()


@pytest.mark.thorough
def test_their_database_is_untouched(tmp_path: Path) -> None:
    """A `DB()` that drops its tables drops those of a copy, and nothing is left in the folder."""
    drop = "        Base.metadata.create_all(self._engine)\n"
    mine = write(tmp_path / "mine", {"db.py": ((drop, drop.replace("create", "drop") + drop),)})
    (mine / "a.db").write_bytes(b"all my users")
    (mine / "0-main.py").write_text(
        "#!/usr/bin/env python3\nfrom auth import Auth\nAuth().register_user('a', 'b')\n"
    )
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    assert of(graded(mine, 11), DONE) == verdict.numbers(11)
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before


def test_what_is_copied(tmp_path: Path) -> None:
    """Python and what lies beside it; no database, nothing hidden or huge, and no pipe."""
    mine = write(tmp_path / "mine", {})
    os.mkfifo(mine / "pipe")
    (mine / ".git").mkdir()
    (mine / "huge.py").write_bytes(b"#" * ((1 << 20) + 1))
    (mine / "a.db").write_bytes(b"")
    (mine / "gone.py").symlink_to(mine / "nowhere.py")
    (mine / "more").mkdir()
    (mine / "more" / "words.txt").write_text("words")
    runner.copy(mine, tmp_path / "copy")
    copied = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*")}
    assert copied == {"user.py", "db.py", "auth.py", "app.py", "more", "more/words.txt"}


#: Forty threads that hold memory until all of them are there.
THREADS = """    import threading
    together, held = threading.Barrier(40), []

    def hold() -> None:
        held.append(bytearray(1000))
        together.wait()

    threads = [threading.Thread(target=hold) for _ in range(40)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
"""


def test_threads_are_no_mischief(tmp_path: Path) -> None:
    """Forty of them at once fit into the memory of a task, whatever the C library reserves."""
    mine = write(tmp_path, {"auth.py": ((UUID, UUID + THREADS),)})
    found = graded(mine, 10)
    assert found[10].finding is None


@pytest.mark.thorough
def test_a_process_that_says_nothing_is_a_verdict(tmp_path: Path) -> None:
    """Killed from outside, or stuck where no alarm reaches it: the task is not done."""
    said = tmp_path / "said"
    job = Job(3, tmp_path, tmp_path, said)
    found = runner.read(job, late=True, status=-9).finding
    assert found is not None
    assert (found.end, found.called) == ("time", "task 3")
    said.write_text(json.dumps({"calling": "import db"}) + "\n")
    found = runner.read(job, late=False, status=-9).finding
    assert found is not None
    assert (found.end, found.called, found.got) == ("ended", "import db", "-9")


@pytest.mark.thorough
def test_a_file_that_never_loads_costs_its_time_once(tmp_path: Path) -> None:
    """The tasks that would load it again are not begun."""
    mine = write(
        tmp_path,
        {"user.py": (("class User(Base)", "while True:\n    pass\n\n\nclass User(Base)"),)},
    )
    begun = time.process_time()
    found = graded(mine)
    assert of(found, NOT_YET) == [1]
    assert all(one.waits_for == 1 for one in found.values() if one.number != 1)
    skipped = [
        one for one in found.values() if one.finding and one.finding.called == f"task {one.number}"
    ]
    assert len(skipped) >= 15
    assert time.process_time() - begun < 60


@pytest.mark.thorough
def test_the_course_itself_is_no_different(tmp_path: Path) -> None:
    """A folder that is read only is graded: nothing is written there."""
    mine = write(tmp_path / "mine", {})
    mine.chmod(0o555)
    try:
        assert of(graded(mine, 2), DONE) == [1, 2]
    finally:
        mine.chmod(0o755)
    assert (COURSE / "user.py").exists()
