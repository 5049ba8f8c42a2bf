"""Flask-Login's own tests, which its source distribution holds, against our module.

`make flask-login` brings them; they are in no folder of the project.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bienvenue.compat import flask_login
from bienvenue.compat.flask_login import FlaskLogin
from bienvenue.compat.flask_login.links import AlreadyLinked
from tests.compat.left_out import LEFT_OUT
from tests.docs.pages import TOP
from tools.checks import FLASK_LOGIN

HERE = Path(__file__).parent


def lay(folder: Path) -> None:
    """Put the tests and what they run on into a folder."""
    with tarfile.open(FLASK_LOGIN) as archive:
        (name,) = [name for name in archive.getnames() if name.endswith("/tests/test_login.py")]
        file = archive.extractfile(name)
        assert file is not None
        (folder / "test_login.py").write_bytes(file.read())
    (folder / "conftest.py").write_bytes((HERE / "stage.py").read_bytes())


def run(folder: Path) -> tuple[set[str], set[str]]:
    """Run them; give the names of those that passed and of those that did not."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    subprocess.run(
        [*command, f"--junitxml={report}", "test_login.py"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    passed: set[str] = set()
    failed: set[str] = set()
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.attrib['classname'].rpartition('.')[2]}.{case.attrib['name']}"
        (failed if len(case) else passed).add(name)
    return passed, failed


@pytest.mark.thorough
def test_all_but_a_few_hold(tmp_path: Path) -> None:
    """Each that does not is named with its reason, and none is named that does."""
    lay(tmp_path)
    passed, failed = run(tmp_path)
    assert failed == LEFT_OUT.keys()
    assert len(passed | failed) == 114


def test_at_most_a_third_is_left_out_and_the_guide_names_each() -> None:
    """With the same reason."""
    assert len(LEFT_OUT) <= 114 // 3
    guide = (TOP / "docs" / "guide" / "from-flask-login.md").read_text("utf-8")
    for name, reason in LEFT_OUT.items():
        assert f"| `{name.partition('.')[2]}` | {reason} |" in guide


def test_the_guide_names_every_name_event_and_refusal() -> None:
    """Of our module; the numbers of tests are those above."""
    guide = (TOP / "docs" / "guide" / "from-flask-login.md").read_text("utf-8")
    assert [name for name in flask_login.__all__ if name.lower() not in guide.lower()] == [
        "LOGIN_MESSAGE",
        "LOGIN_MESSAGE_CATEGORY",
        "REFRESH_MESSAGE",
        "REFRESH_MESSAGE_CATEGORY",
    ]
    for event, meaning in FlaskLogin.events.items():
        assert f"| `{event}` | {meaning} |" in guide
    assert f"| `{AlreadyLinked.code}` | {AlreadyLinked.status} |" in guide
    assert f"in `make check`, {114 - len(LEFT_OUT)} of 114" in guide
