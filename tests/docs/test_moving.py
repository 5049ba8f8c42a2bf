"""The guide to moving: its own queries, on the database of each system, and who signs in then."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import MakeService, Service
from tests.docs import other_systems
from tests.docs.pages import GUIDE
from tests.spine.test_cli import Run, run
from tests.transcript import read

__all__ = ["run"]

ANN = "ann@example.com"
GUIDE_TO_MOVING = GUIDE / "moving.md"


def imports() -> dict[str, list[str]]:
    """Give the arguments of each import of the guide, by the name of what it reads."""
    found, query = {}, ""
    for step in read(GUIDE_TO_MOVING):
        if shown := re.match(r"cat > query\.sql <<'END'\n(.*)\nEND", step.command, re.DOTALL):
            query = shown[1]
        elif step.command.startswith("bienvenue users import "):
            command = step.command.replace('"$(cat query.sql)"', shlex.quote(query))
            _, _, _, source, *options = shlex.split(command.replace("\\\n", " "))
            found[Path(source.removeprefix("sqlite:///")).name] = [source, *options]
    return found


IMPORTS = imports()
#: What each system knows of Ann, as the export of the service tells it.
VERIFIED, CREATED = {"email_verified": "2024-05-01T12:00:00Z"}, {"created_at": "2024-05-01T1"}
KNOWN: Mapping[str, Mapping[str, str]] = {
    "flask.db": {},
    "a.db": {},
    "flask_security.db": VERIFIED,
    "django.db": CREATED | {"last_sign_in_at": "2025-03-02T08:30:00Z"},
    "fastapi_users.db": {},
    "better_auth.db": CREATED,
    "devise.db": VERIFIED | CREATED | {"last_sign_in_at": "2025-03-02T08:30:00Z"},
    "flask_user.db": VERIFIED,
    "auth0.ndjson": {},
    "supabase.csv": VERIFIED | CREATED | {"last_sign_in_at": "2025-03-02T08:30:00Z"},
}


def test_every_system_of_the_guide_is_here() -> None:
    """And every database that the guide has is read by it."""
    assert IMPORTS.keys() == KNOWN.keys()
    files = {file.name.replace(".sql", ".db") for file in other_systems.FOLDER.iterdir()}
    assert files | {"a.db"} == KNOWN.keys()


def exported(run: Run, folder: Path, email: str) -> dict[str, object]:
    """Give what the export of the service says of a user, with the hash."""
    file = folder / "everybody.jsonl"
    file.unlink(missing_ok=True)
    done = run("users", "export", str(file), "--with-hashes")
    assert done.exit_code == 0, done.output
    users = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    (found,) = [user for user in users if user["email"] == email]
    return dict(found)


def sign_in(service: Service, email: str, password: str) -> int:
    """Sign in as a program does; give the status."""
    sent = {"email": email, "password": password}
    return service.client().post("/sessions", json=sent).status_code


@pytest.mark.thorough
@pytest.mark.parametrize("system", KNOWN)
def test_users_of_each_system_sign_in(
    run: Run,
    make_service: MakeService,
    system: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the password they had there; what was known of them is here, and the hash is ours."""
    other_systems.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    salt = re.search(r"export BIENVENUE_(FLASK_\w+)=(\d+)", GUIDE_TO_MOVING.read_text("utf-8"))
    assert salt is not None
    monkeypatch.setenv(f"BIENVENUE_{salt[1]}", salt[2])
    done = run("users", "import", *IMPORTS[system])
    assert done.exit_code == (system == "django.db"), done.output
    told = exported(run, tmp_path, ANN)
    for name, begins in KNOWN[system].items():
        assert str(told[name]).startswith(begins), (name, told)
    service = make_service(**{salt[1].lower(): salt[2]})
    assert sign_in(service, ANN, f"{other_systems.PASSWORD} ") == 401
    assert sign_in(service, ANN, other_systems.PASSWORD) == 200
    ours = exported(run, tmp_path, ANN)
    assert str(ours["password_hash"]).startswith("$2b$04$")
    assert ours["password_text"] == "nfc"
    assert sign_in(service, ANN, other_systems.PASSWORD) == 200


DJANGO = """
import sys, django
from django.conf import settings
hashers = ["PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "Scrypt"]
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db"}},
    PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{name}PasswordHasher" for name in hashers],
)
django.setup()
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.core.management import call_command
def made(password):
    call_command("migrate", verbosity=0)
    for name in ["pbkdf2_sha256", "pbkdf2_sha1", "argon2", "bcrypt_sha256", "bcrypt", "scrypt"]:
        user = User(username=name, email=f"{name}@example.com")
        user.password = make_password(password, hasher=name)
        user.save()
"""


def django(folder: Path, code: str, *arguments: str) -> str:
    """Run some code in Django; give what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", f"{DJANGO}{code}", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_from_django_and_back(
    run: Run, make_service: MakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Django that is installed makes every hash it can, and opens what the service wrote."""
    django(tmp_path, "made(sys.argv[1])", other_systems.PASSWORD)
    monkeypatch.chdir(tmp_path)
    assert run("users", "import", *IMPORTS["django.db"]).exit_code == 0
    service = make_service()
    emails = list(service.auth.accounts.emails())
    assert len(emails) == 6
    for email in emails:
        assert sign_in(service, email, other_systems.PASSWORD) == 200, email
        hashed = str(exported(run, tmp_path, email)["password_hash"])
        code = "print(check_password(sys.argv[1], 'bcrypt$' + sys.argv[2]))"
        assert django(tmp_path, code, other_systems.PASSWORD, hashed) == "True\n"
        assert django(tmp_path, code, "another", hashed) == "False\n"
