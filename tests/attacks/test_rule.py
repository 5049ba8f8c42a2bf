"""The rule of this folder: an attack that cannot win is not counted, and nothing is left over."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.attacks import patch
from tests.attacks.attack import BROKEN, COURSE, Attack, load
from tests.attacks.catalogue import CATALOGUE, SECTIONS, Entry

ROOT = Path(__file__).parents[2]
ATTACKS = load()
IDS = [f"{attack.id}-{attack.name}" for attack in ATTACKS]


@pytest.mark.parametrize("attack", ATTACKS, ids=IDS)
def test_declares_where_it_wins(attack: Attack) -> None:
    """At the course, or at a broken build that there is."""
    assert attack.wins
    for where in attack.wins:
        assert where == COURSE or where.removeprefix(BROKEN) in patch.names()


def test_names_are_unique() -> None:
    """Or two attacks would share the name of a test."""
    assert Counter(IDS).most_common(1)[0][1] == 1


def test_every_id_is_tested_or_waits() -> None:
    """Exactly one of these, and no attack is outside the catalogue."""
    tested = [*{attack.id for attack in ATTACKS}]
    waiting = [entry.id for entry in CATALOGUE if entry.waits]
    elsewhere = [entry.id for entry in CATALOGUE if entry.elsewhere]
    assert sorted(tested + waiting + elsewhere) == sorted(entry.id for entry in CATALOGUE)


@pytest.mark.parametrize("entry", [entry for entry in CATALOGUE if entry.elsewhere])
def test_what_is_tested_elsewhere_is_there(entry: Entry) -> None:
    """Its file exists and has tests."""
    assert "\ndef test_" in (ROOT / "tests" / entry.elsewhere).read_text("utf-8")


def test_catalogue_is_in_order() -> None:
    """Every id once, under a section."""
    ids = [entry.id for entry in CATALOGUE]
    assert ids == sorted(set(ids))
    assert {id_[0] for id_ in ids} == set(SECTIONS)


def test_every_patch_is_used() -> None:
    """A broken build against which nothing wins proves nothing."""
    used = {where.removeprefix(BROKEN) for attack in ATTACKS for where in attack.wins}
    assert used - {COURSE} == set(patch.names())


@pytest.mark.parametrize("name", patch.names())
def test_patch_applies(name: str, tmp_path: Path) -> None:
    """To the service as it is now, and to Python that still compiles."""
    files = {hunk.file for hunk in patch.read(name)}
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(patch.PACKAGE / file, tmp_path / file)
    patch.apply(name, tmp_path)
    for copy in (tmp_path / file for file in files):
        if copy.suffix == ".py":
            compile(copy.read_text("utf-8"), copy, "exec")


@pytest.mark.parametrize("name", patch.names())
def test_patch_says_its_mistake(name: str) -> None:
    """Its name begins with the id of its attack, its text with a sentence."""
    assert name[:3] in {attack.id for attack in ATTACKS}
    assert patch.mistake(name).endswith(".")


def _patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hunk: str) -> Path:
    monkeypatch.setattr(patch, "FOLDER", tmp_path)
    (tmp_path / "one.patch").write_text(f"A mistake.\n\n{hunk}")
    package = tmp_path / "bienvenue"
    package.mkdir()
    (package / "a.py").write_text("one = 1\ntwo = 2\ntwo = 2\nthree = 3\n")
    return package


HEADER = "--- src/bienvenue/a.py\n+++ src/bienvenue/a.py\n"


def test_patch_replaces_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever in the file they stand now."""
    package = _patch(
        tmp_path, monkeypatch, HEADER + "@@ -7,2 +7,2 @@\n two = 2\n-three = 3\n+x = 4\n"
    )
    patch.apply("one", package)
    assert (package / "a.py").read_text() == "one = 1\ntwo = 2\ntwo = 2\nx = 4\n"


@pytest.mark.parametrize(
    ("hunk", "says"),
    [
        (HEADER + "@@ -1 +1 @@\n-one = 2\n+one = 3\n", "stand 0 times"),
        (HEADER + "@@ -1 +1 @@\n-two = 2\n+two = 3\n", "stand 2 times"),
        (HEADER + "@@ -1 +1 @@\n-one = 1\n+one = 1\n", "changes nothing"),
        (HEADER, "changes nothing"),
        (HEADER + "@@ -1,2 +1,2 @@\n-one = 1\n+one = 2\n", "shorter|end"),
        (HEADER.replace("a.py", "b.py") + "@@ -1 +1 @@\n-a\n+b\n", "not there"),
        (HEADER.replace("src/bienvenue", "course") + "@@ -1 +1 @@\n-a\n+b\n", "not in"),
        ("@@ -1 +1 @@\n-one = 1\n+one = 2\n", "before the name"),
    ],
)
def test_patch_fails_loudly(
    hunk: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the code it breaks is no longer there, or is there twice; and it changes nothing."""
    package = _patch(tmp_path, monkeypatch, hunk)
    before = (package / "a.py").read_text()
    with pytest.raises(patch.PatchFails, match=says):
        patch.apply("one", package)
    assert (package / "a.py").read_text() == before


def test_page_is_up_to_date() -> None:
    """docs/attacks.md is what tools/attack_table.py writes."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "attack_table.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
