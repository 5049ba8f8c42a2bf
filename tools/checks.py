"""The commands behind `make quick`, `test` and `check`; each step says its time.

quick  format, lint, types and the fast tests on SQLite
test   format, lint, and every behaviour once; it says aloud what it leaves to `check`
check  types, every test with branch coverage, the wheel alone, the fast tests from it with the
       oldest dependencies, and the contract on every other interpreter found
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
OLDEST, NEWEST = (3, 11), (3, 15)
#: The fast tests, which `make check` runs again from the wheel with the oldest dependencies.
PORTABLE = ["tests/seed", "tests/spine"]
#: The contract, which it runs from the wheel on every other interpreter.
CONTRACT = ["tests/seed"]
#: On SQLite, and with the oldest dependencies the exercise's contract on PostgreSQL.
PORTABLE_CHOICE, CONTRACT_CHOICE = "not postgresql or seed", "not postgresql"
PORTABLE_PYTEST = shlex.split("-m pytest -q -p no:cacheprovider -m 'not slow' -k")
#: Flask-Login's source distribution, whose tests run against `bienvenue.compat.flask_login`.
FLASK_LOGIN = TOP / "build" / "flask-login" / "Flask-Login-0.6.3.tar.gz"
#: What could not be run here, to be said at the end, where it is read.
NOT_RUN: list[str] = []
#: What shows a behaviour again.
LEFT = (
    "attacks on broken builds and variants of an attack, PostgreSQL twins of what no statement "
    "decides, most cases of a table of one behaviour, most kills and stops, the browser in every "
    "state and in the second language, most journeys in it, most of the grader, the attacks that "
    "the course shows and the longest pages of commands, branch coverage, the wheel alone, the "
    "oldest dependencies and other interpreters"
)
#: Tests that start servers wait for them, so three processes keep two cores busy.
PYTEST = shlex.split(f"-q -n {3 * (os.cpu_count() or 2) // 2} --dist worksteal -p no:cacheprovider")


def run(what: str, *command: str | Path, **environment: str) -> None:
    """Run one step, saying so; stop everything when it fails."""
    print(f"--- {what}", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], cwd=TOP, env=os.environ | environment, check=False
    )
    print(f"    {what}: {time.monotonic() - started:.0f} s", flush=True)
    if done.returncode:
        print(f"\n{what} failed; run it alone with: {' '.join(map(str, command))}", flush=True)
        sys.exit(done.returncode)


def style() -> None:
    """Check format and lint."""
    run("format", BIN / "ruff", "format", "--check", "--quiet", ".")
    run("lint", BIN / "ruff", "check", "--quiet", ".")


def types() -> None:
    """Check types."""
    run("types", BIN / "mypy")
    run(
        "types of the tests",
        BIN / "mypy",
        "--strict",
        "tests",
        "tools",
        "bench",
        "grade",
        MYPYPATH="src",
    )
    run("types of the course", BIN / "mypy", *sorted((TOP / "course").glob("*.py")))


def tests(*options: str) -> None:
    """Run the tests of this working tree."""
    run("tests", BIN / "python", "-m", "pytest", *PYTEST, *options)


def chromium() -> str | None:
    """Give the path of Chromium: that of the variable CHROMIUM, or the first one found."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if (found := shutil.which(name))), None)


def pgbouncer() -> str | None:
    """Give the path of PgBouncer, which Debian keeps where only root looks for programs."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def nginx() -> str | None:
    """Give the path of nginx, which Debian keeps where only root looks for programs."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def caddy() -> str | None:
    """Give the path of Caddy."""
    return shutil.which("caddy")


def once() -> None:
    """Run the tests that show a behaviour for the first time."""
    all_tests("-m", "not thorough")
    NOT_RUN.append(f"what `make check` does besides: {LEFT}")


def all_tests(*options: str) -> None:
    """Run every test, or say aloud which ones a machine cannot run, for want of which program."""
    if chromium() is None:
        options += ("--ignore=tests/browser",)
        NOT_RUN.append(
            "tests/browser: there is no Chromium here. One command brings it: "
            "apt-get install -y chromium"
        )
    if pgbouncer() is None:
        options += ("--ignore=tests/journeys/test_pooler.py",)
        NOT_RUN.append(
            "tests/journeys/test_pooler.py: there is no PgBouncer here. One command brings it: "
            "apt-get install -y pgbouncer"
        )
    if nginx() is None or caddy() is None:
        options += ("--ignore=tests/journeys/test_proxies.py",)
        NOT_RUN.append(
            "tests/journeys/test_proxies.py: there is no nginx or no Caddy here. One command "
            "brings both: apt-get install -y nginx caddy"
        )
    tests(*options)


def fetched_flask_login() -> bool:
    """Fetch Flask-Login's source distribution by its hash; tell whether it is there."""
    lock = (TOP / "requirements" / "dev.lock").read_text("utf-8")
    pinned = re.search(r"^flask-login==.*\n(?: .*\n)+", lock, re.MULTILINE)
    if FLASK_LOGIN.exists() or pinned is None:
        return FLASK_LOGIN.exists()
    FLASK_LOGIN.parent.mkdir(parents=True, exist_ok=True)
    wanted = FLASK_LOGIN.with_name("requirements.txt")
    wanted.write_text(pinned[0], "utf-8")
    # pip reads its metadata, with the setuptools of the lock and not another one.
    options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
    fetch: list[str | Path] = [
        "download",
        *options,
        "--require-hashes",
        "-r",
        wanted,
        "-d",
        FLASK_LOGIN.parent,
    ]
    subprocess.run([BIN / "python", "-m", "pip", *fetch], cwd=TOP, check=False)
    return FLASK_LOGIN.exists()


def flask_login() -> None:
    """Fetch Flask-Login's source distribution; stop where it cannot be fetched."""
    if not fetched_flask_login():
        sys.exit("Flask-Login's source distribution cannot be fetched from the package index")


def without_flask_login() -> tuple[str, ...]:
    """Return the option that leaves out Flask-Login's own tests, and say so, if they are absent."""
    if fetched_flask_login():
        return ()
    NOT_RUN.append(
        "Flask-Login's own tests: they cannot be fetched here. One command brings them, from the "
        "package index: make flask-login"
    )
    return ("--deselect=tests/compat/test_flask_logins_own_tests.py::test_all_but_a_few_hold",)


def covered() -> None:
    """Run the tests and require every line and branch of the product."""
    os.environ["THOROUGH"] = "1"
    coverage = ("--cov", "--cov-branch", "--cov-report=term", "--cov-fail-under=100")
    all_tests(*coverage, *without_flask_login())


def wheel(folder: Path) -> Path:
    """Build the wheel and look at what it carries; return it."""
    run("wheel", BIN / "python", "-m", "build", "--wheel", "--no-isolation", "-o", folder, TOP)
    built = next(folder.glob("*.whl"))
    with zipfile.ZipFile(built) as archive:
        packed = {name for name in archive.namelist() if name.startswith("bienvenue/")}
    package = TOP / "src"
    files = subprocess.run(
        ["git", "ls-files", "src/bienvenue"], cwd=TOP, check=True, capture_output=True, text=True
    ).stdout.split()
    missing = {str(Path(file).relative_to("src")) for file in files} - packed
    extra = {name for name in packed if not (package / name).exists()}
    if missing or extra:
        sys.exit(f"the wheel lacks {sorted(missing)} and has {sorted(extra)} that no source has")
    return built


def interpreters() -> list[Path]:
    """Find every supported interpreter of this machine, one a version, newest release first."""
    found: dict[tuple[int, ...], Path] = {}
    pyenv = [Path(os.environ["PYENV_ROOT"])] if "PYENV_ROOT" in os.environ else []
    candidates = [path for top in pyenv for path in sorted(top.glob("versions/3.*/bin/python"))]
    for minor in range(OLDEST[1], NEWEST[1]):
        named = shutil.which(f"python3.{minor}")
        candidates += [Path(named)] if named else []
    for path in [Path(sys.executable), *candidates]:
        version = _version(path)
        if version is not None and OLDEST <= version < NEWEST:
            found.setdefault(version, path)
    return [found[version] for version in sorted(found)]


def _version(python: Path) -> tuple[int, ...] | None:
    ask = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-c", ask], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(int(part) for part in done.stdout.split())


def on(python: Path, built: Path, folder: Path, tests: list[str], *, oldest: bool = False) -> None:
    """Install the wheel on an interpreter and run these tests against it."""
    version = ".".join(map(str, _version(python) or ()))
    name = f"Python {version}" + (" with the oldest dependencies" if oldest else "")
    venv = folder / name.replace(" ", "-")
    inside = venv / "bin" / "python"
    install: list[str | Path] = [BIN / "uv", "pip", "install", "--quiet", "--python", inside]
    run(f"{name}: environment", BIN / "uv", "venv", "--quiet", "--python", python, venv)
    run(f"{name}: dependencies", *install, "--require-hashes", "-r", "requirements/dev.lock")
    if oldest:
        run(f"{name}: floors", *install, "--require-hashes", "-r", "requirements/floor.lock")
    run(f"{name}: wheel", *install, "--no-deps", built)
    chosen = [PORTABLE_CHOICE, *tests] if oldest else [CONTRACT_CHOICE, *tests]
    run(f"{name}: tests of the wheel", inside, *PORTABLE_PYTEST, *chosen, PYTHONPATH="")


def everywhere() -> None:
    """Run the fast tests with the oldest dependencies, and the contract on every interpreter."""
    found = interpreters()
    print(f"    interpreters: {', '.join(str(_version(path)) for path in found)}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        built = wheel(Path(name) / "dist")
        on(found[0], built, Path(name), PORTABLE, oldest=True)
        for python in found:
            if _version(python) != sys.version_info[:2]:
                on(python, built, Path(name), CONTRACT)


def built_alone() -> None:
    """Build the wheel, look at what it carries, and use it where nothing of ours is installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = wheel(folder / "dist")
        inside = folder / "venv" / "bin" / "python"
        run(
            "environment",
            BIN / "uv",
            "venv",
            "--quiet",
            "--python",
            sys.executable,
            folder / "venv",
        )
        install: list[str | Path] = [BIN / "uv", "pip", "install", "--quiet", "--python", inside]
        run("dependencies", *install, "--require-hashes", "-r", "requirements/run.lock")
        run("wheel alone", *install, "--no-deps", built)
        run("its command", inside.with_name("bienvenue"), "db", "upgrade", BIENVENUE_INSTANCE=name)


STEPS: dict[str, list[Callable[[], None]]] = {
    "quick": [
        style,
        types,
        lambda: tests("-m", "not slow", "-k", "not postgresql", *PORTABLE, "tests/house"),
    ],
    "test": [style, once],
    "check": [types, covered, built_alone, everywhere],
    "flask-login": [flask_login],
}


def main() -> None:
    """Run the steps of the command named."""
    # The tests start hundreds of processes, and each would compile all that it loads.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.monotonic()
    for step in STEPS[sys.argv[1]]:
        step()
    for what in NOT_RUN:
        print(f"\n!!! NOT RUN HERE: {what}\n", flush=True)
    print(f"--- all well after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
