"""M: what stays behind of a secret, in logs, tables and files."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.engine import make_url

from bienvenue import token_format
from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply, Visitor
from tests.attacks.g_cross_site import token_of
from tests.attacks.target import Person, Target

PAGE = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


class Canaries:
    """Secrets that occur nowhere else, so that whatever holds one has it from here."""

    def __init__(self) -> None:
        """Begin with none."""
        self.all: dict[str, str] = {}

    def password(self, what: str) -> str:
        """Make a password."""
        return self.kept(f"the password {what}", f"canari-{secrets.token_hex(12)}")

    def kept(self, what: str, secret: str) -> str:
        """Keep a secret that the target made."""
        self.all[f"{what} {len(self.all)}"] = secret
        return secret

    def found(self, content: bytes) -> str | None:
        """Name a secret that stands in a content, in any spelling; None when there is none."""
        for what, secret in self.all.items():
            raw = secret.encode()
            spelt = {raw, quote(secret).encode(), base64.b64encode(raw), raw.hex().encode()}
            if any(one in content for one in spelt):
                return what
        return None


@attack(
    "M08",
    "Passwords and cookies stay behind in logs, tables and files.",
    wins=("course", "broken:M08_logs_what_failed"),
    alone=True,
    noisy=True,
)
def secrets_that_stay_behind(target: Target) -> Outcome:
    """Do everything once, at the highest level of logging, and search all that is left of it."""
    target.stop()
    (target.folder / "debug").touch()
    target.start()
    canaries = Canaries()
    everything(target, canaries)
    caught = target.person(canaries.password("of somebody signed in")).sign_in()
    for name, value in caught.cookies.items():
        canaries.kept(f"the cookie {name} of somebody signed in", value)
    target.execute("ALTER TABLE users RENAME TO elsewhere")
    everything(target, canaries)
    for method, path in (("GET", "/profile"), ("PUT", "/password"), ("DELETE", "/sessions")):
        caught.request(method, path, form={"old_password": canaries.password("of a failure")})
    target.execute("ALTER TABLE elsewhere RENAME TO users")
    searched = 0
    for place, content in left_behind(target):
        searched += len(content)
        if what := canaries.found(content):
            return Won(f"{what} stands in {place}")
    return Refused(f"{len(canaries.all)} secrets, and none in {searched // 1024} KiB left behind")


def everything(target: Target, canaries: Canaries) -> None:
    """Register, sign in, change and fail in every way, each time with secrets of its own."""
    person = target.newcomer(canaries.password("of an account"))
    other = canaries.password("refused")
    register = {"email": person.email, "password": person.password}
    for password in (person.password, other, "canari" + other * 200, other + "\0", other + "é"):
        target.request("POST", "/users", form=register | {"password": password})
        target.request("POST", "/users", json=register | {"password": [password]})
        target.request("POST", "/users", body=f'{{"password": "{password}'.encode())
        target.request("POST", "/sessions", json=register | {"password": password, password: "1"})
        person.try_password(password)
    as_a_browser(person, canaries)
    browser = person.visitor
    keep(canaries, person.try_password(person.password, browser))
    changes = ((other, other + "-new"), (person.password, "canari"), (person.password, other))
    for old, new in changes:
        keep(canaries, browser.put("/password", old_password=old, new_password=new))
    browser.get("/sessions")
    browser.get("/profile")
    as_a_program(browser, canaries)
    browser.delete("/sessions")
    for form in ({"form_token": other, "_method": "DELETE"}, {"_method": other}):
        target.request("POST", "/sessions", form=form, cookie=f"session_id={other}; form_id=x")


def as_a_program(browser: Visitor, canaries: Canaries) -> None:
    """Make an access token and use it, rightly and wrongly, in the header and in an address."""
    reply = browser.request("POST", "/access_tokens", json={"name": "ci", "scopes": "*"})
    token = (reply.json or {}).get("access_token", token_format.new())
    secret = canaries.kept("the access token", token[3:-6])
    target = browser.target
    for sent in (token, f"{token}x", f"{token},Bearer {token}", secret * 9, token_format.new()):
        bearer = {"Authorization": f"Bearer {sent}"}
        for method, path in (("GET", "/profile"), ("GET", "/activity"), ("PUT", "/password")):
            Visitor(target).request(method, path, headers=bearer)
            browser.request(method, path, headers=bearer)
    Visitor(target).request("DELETE", "/access_tokens/current", json={"access_token": token})


def as_a_browser(person: Person, canaries: Canaries) -> None:
    """Sign in and out by the pages, which send form tokens."""
    browser = person.target.visitor()
    page = browser.request("GET", "/sessions/new", headers=PAGE)
    token = keep(canaries, page)
    form = {"email": person.email, "password": person.password, "form_token": token}
    keep(canaries, browser.request("POST", "/sessions", form=form | {"email": "x"}, headers=PAGE))
    keep(canaries, browser.request("POST", "/sessions", form=form, headers=PAGE))
    token = keep(canaries, browser.request("GET", "/profile", headers=PAGE))
    form = {"_method": "DELETE", "form_token": token}
    browser.request("POST", "/sessions", form=form, headers=PAGE)


def keep(canaries: Canaries, reply: Reply) -> str:
    """Keep the cookies and the form token of an answer; give the token."""
    for name, value in reply.cookies.items():
        if value:
            canaries.kept(f"the cookie {name}", value)
    token = token_of(reply)
    if token:
        canaries.kept("the form token", token)
    return token


def left_behind(target: Target) -> Iterator[tuple[str, bytes]]:
    """Give every value of every table, the log, and every file of the database."""
    for table, rows in target.dump().items():
        for row in rows:
            for column, value in row.items():
                yield f"{table}.{column}", as_bytes(value)
    yield "the log", target.logs().encode()
    for file in files(target):
        yield f"the file {file.name}", file.read_bytes()


def as_bytes(value: Any) -> bytes:
    """Give a value of a row as a thief reads it."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def files(target: Target) -> list[Path]:
    """Name the files of the database: SQLite's with its -wal, PostgreSQL's with log and WAL."""
    url = make_url(target.database)
    if url.get_backend_name() == "sqlite":
        database = Path(str(url.database))
        return sorted(database.parent.glob(f"{database.name}*"))
    target.execute("SELECT pg_switch_wal()")
    [where] = target.execute(
        "SELECT current_setting('data_directory') AS folder, oid FROM pg_database "
        "WHERE datname = current_database()"
    )
    folder = Path(where["folder"])
    places = (folder / "base" / str(where["oid"]), folder / "pg_wal", folder)
    return [file for place in places for file in sorted(place.iterdir()) if file.is_file()]
