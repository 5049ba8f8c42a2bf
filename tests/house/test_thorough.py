"""What `make test` leaves to `make check` is what shows something again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import thorough
from tests.times import Times

TOP = Path(__file__).parents[2]


#: They build and install releases, which takes longer than all tests of a feature.
ONLY_IN_CHECK = {"tests/journeys/test_release.py", "tests/journeys/test_two_versions.py"}


@pytest.mark.thorough
def test_every_module_has_something_left_for_make_test() -> None:
    """A test that is marked shows again what another one shows, so no module is left out whole."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    listed = {}
    for chosen in ("thorough or not thorough", "not thorough"):
        done = subprocess.run(
            [*command, "-m", chosen], cwd=TOP, capture_output=True, text=True, check=True
        )
        listed[chosen] = {line.split("::")[0] for line in done.stdout.splitlines() if "::" in line}
    everything, once = listed.values()
    assert len(everything) > 100
    assert everything - once == ONLY_IN_CHECK


TABLES = """
import pytest

@pytest.mark.table
@pytest.mark.parametrize("case", range(7))
def test_one(case): ...

@pytest.mark.table(shown=3)
@pytest.mark.parametrize("case", range(7))
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_three(case, database): ...

@pytest.mark.table
@pytest.mark.parametrize("case", [pytest.param(0, marks=pytest.mark.thorough), 1])
def test_marked(case): ...

def test_alone(): ...
"""
PLUGIN = """
from tests.thorough import mark_tables

def pytest_configure(config):
    config.addinivalue_line("markers", "table")
    config.addinivalue_line("markers", "thorough")

def pytest_collection_modifyitems(items):
    mark_tables(items)
"""


def test_a_table_shows_as_many_of_its_cases_as_it_says(tmp_path: Path) -> None:
    """With both databases of a case; what is left out for another reason is none of them."""
    (tmp_path / "conftest.py").write_text(PLUGIN)
    (tmp_path / "test_tables.py").write_text(TABLES)
    options = ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:bienvenue"]
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-m", "not thorough", tmp_path],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown = [line.partition("::")[2] for line in listed.splitlines() if "::" in line]
    of_three = [name for name in shown if "test_three" in name]
    assert len([name for name in shown if "test_one" in name]) == 1
    assert (len(of_three), len({name.partition("-")[2] for name in of_three})) == (6, 3)
    assert {"test_marked[1]", "test_alone"} <= set(shown)
    assert len(shown) == 9


def test_a_loop_has_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few, and many where everything is asked for."""
    monkeypatch.setattr(thorough, "THOROUGH", False)
    assert thorough.often(3, 20) == 3
    monkeypatch.setattr(thorough, "THOROUGH", True)
    assert thorough.often(3, 20) == 20


def test_the_times_are_by_folder_and_by_test() -> None:
    """All phases of a test count, from whichever process they come."""
    times = Times()
    for node, seconds in (
        ("tests/web/a.py::x", 1.0),
        ("tests/web/a.py::x", 0.5),
        ("tests/b.py", 2),
    ):
        report = pytest.TestReport(node, ("", 0, ""), {}, "passed", None, "call", (), seconds)
        times.pytest_runtest_logreport(report)
    assert times._lines() == [
        "     3.5 s of tests,     2 of them, in all processes",
        "     2.0 s      1  tests/b.py",
        "     1.5 s      1  tests/web",
        "the 30 slowest:",
        "     2.0 s  tests/b.py",
        "     1.5 s  tests/web/a.py::x",
    ]
