"""What the repository as a whole keeps to."""

import re
import subprocess
import tomllib

from tests.house.source import PACKAGE, TOP

LOCKS = sorted((TOP / "requirements").glob("*.lock"))


def tracked() -> list[str]:
    """Name every file that git keeps."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=TOP, check=True, capture_output=True, text=True
    )
    return listed.stdout.splitlines()


def test_lock_files_hold_hashes_and_no_addresses() -> None:
    """Anyone who installs decides from where; the hashes decide what."""
    assert len(LOCKS) == 4
    for lock in LOCKS:
        text = lock.read_text("utf-8")
        assert "://" not in text
        assert "index-url" not in text
        pins = re.findall(r"^[a-z0-9][\w.-]*(?:\[\w+\])?==", text, re.MULTILINE)
        assert pins
        assert text.count("--hash=sha256:") >= len(pins)


def test_the_locks_know_every_dependency() -> None:
    """A dependency that no lock holds would not be there in a clean clone."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    wanted = {re.split(r"[\[<>=]", name)[0].lower() for name in [*project["dependencies"], *extras]}
    for name in ("run", "dev", "floor"):
        text = (TOP / "requirements" / f"{name}.lock").read_text("utf-8")
        assert not {
            want for want in wanted if not re.search(rf"^{want}(\[\w+\])?==", text, re.MULTILINE)
        }


def test_the_oldest_dependencies_are_those_of_the_metadata() -> None:
    """The floors are tested at exactly the versions that are promised."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    floor = (TOP / "requirements" / "floor.lock").read_text("utf-8")
    for wanted in project["dependencies"]:
        name, least = re.findall(r"^([\w-]+)>=([\d.]+)", wanted)[0]
        found = re.search(rf"^{name}==([\d.]+)", floor, re.MULTILINE)
        assert found is not None
        assert (found[1] + ".0").startswith(least), f"{name}: {found[1]} is not {least}"


def test_no_tracked_file_names_a_machine() -> None:
    """Paths of one machine and hosts of package registries mean nothing to others."""
    names = re.compile(r"/(?:root|work|home/\w+)/|(?:pypi|npmjs|pythonhosted)\.(?:org|com)")
    for name in tracked():
        if name.endswith(
            (".py", ".md", ".toml", ".txt", ".lock", ".html", ".css", "Makefile", "run")
        ):
            text = (TOP / name).read_text("utf-8")
            assert not names.search(text.replace(names.pattern, "")), name


def test_secrets_and_databases_are_not_tracked() -> None:
    """An instance folder or a database in the repository would be someone's."""
    assert not [name for name in tracked() if re.search(r"(^|/)instance/|\.db(-wal|-shm)?$", name)]


def test_every_ignored_rule_has_its_reason() -> None:
    """A line that silences a checker says why, on the line."""
    bare = re.compile(r"# (?:noqa: [A-Z0-9, ]+|type: ignore\[[\w-]+\]|pragma: no cover)\s*$")
    offenders = [
        f"{name}:{number}"
        for name in tracked()
        if name.endswith(".py")
        for number, line in enumerate((TOP / name).read_text("utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert not offenders


def test_the_package_is_typed_and_carries_what_it_needs() -> None:
    """What a program reads at run time lies in the package; `make check` looks into the wheel."""
    for needed in ("py.typed", "templates/bienvenue", "static/bienvenue.css", "data/passwords.bin"):
        assert (PACKAGE / needed).exists()


def test_the_pages_load_nothing_from_elsewhere_and_one_script() -> None:
    """Every page works where third parties, and what is written into a page, are forbidden."""
    templates = sorted((PACKAGE / "templates").rglob("*.html"))
    assert len(templates) >= 10
    for template in templates:
        text = template.read_text("utf-8")
        if template.name == "head.html":
            ours = """<script src="{{ here('/bienvenue/static/bienvenue.js') }}" defer></script>"""
            assert text.count(ours) == 1
            text = text.replace(ours, "")
        assert not re.search(r"<script|\son\w+=|https?://|\|\s*safe", text), template.name
        # An email has no stylesheet: readers of mail drop it.
        assert template.parent.name == "mail" or "style=" not in text, template.name
