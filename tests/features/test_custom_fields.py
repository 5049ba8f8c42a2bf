"""custom_fields: what an application asks its users for, from the form to the export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from click.testing import CliRunner
from flask import Flask
from pydantic import BaseModel, Field, create_model, field_validator

from bienvenue import Auth, Bienvenue, clock
from bienvenue.authentication import CODE
from bienvenue.cli import main
from bienvenue.declared import Accepted
from bienvenue.features.import_export.sources import Line
from bienvenue.settings import Settings, SettingsProblem
from bienvenue.web.refusals import NotSignedIn
from tests.conftest import EMAIL, KEY, PASSPHRASE, Clock, Service
from tests.features.registrations import SMTP, newest, verify
from tests.web.browser import HTML, Browser


class Reader(BaseModel):
    """What the bookshop of these tests asks for."""

    name: str = Field(title="Full name", max_length=40)
    nickname: str | None = Field(None, description="What others see.")
    born: Annotated[int, Field(ge=1900)] | None = None
    news: bool = False
    shelf: Literal["novels", "maps"] = Field("novels", frozen=True)
    terms: Annotated[bool, Accepted("2026-11", link="/terms")]

    @field_validator("name")
    @classmethod
    def of_a_person(cls, value: str) -> str:
        """Take no shouting."""
        if value.isupper():
            raise ValueError("shouted: " + value)
        return value


GIVEN: dict[str, Any] = {"name": "Bob", "born": 1990, "news": True, "terms": True}


@pytest.fixture
def service(database: str, tmp_path: Path) -> Any:
    """A service of an application that asks for more than an email."""
    made = of(database, tmp_path)
    yield made
    made.auth.close()


def of(url: str, folder: Path, **settings: Any) -> Service:
    """Make a service with the fields of the bookshop."""
    (folder / "keys").write_text(KEY)
    given: dict[str, Any] = {
        "database_url": url,
        "secret_key_file": folder / "keys",
        "bcrypt_cost": 4,
    }
    app = Flask("books")
    auth = Bienvenue(url_prefix="", fields=Reader, instance=folder, **given | settings).init_app(
        app
    )
    return Service(app, auth, url)


def submit(browser: Browser, page: str, action: str, **typed: str) -> Any:
    """Send a form as a browser does: a box that is not ticked sends nothing."""
    form = browser.form(page, action)
    hidden = {name: form.fields[name] for name in form.fields if name in {"form_token", "_method"}}
    return browser.client.post(action, data=hidden | typed, headers=HTML)


def register(service: Service, **fields: Any) -> Any:
    """Register as a program."""
    sent = {"email": EMAIL, "password": PASSPHRASE} | GIVEN | fields
    return service.client().post("/users", json={k: v for k, v in sent.items() if v is not None})


def stored(service: Service) -> dict[str, Any]:
    """Give what is stored for Bob."""
    return service.auth.custom_fields.of(service.auth.accounts.find(EMAIL).id)


def test_a_registration_stores_them_with_the_terms_of_a_version(
    service: Service, moving_clock: Clock
) -> None:
    """And the time of consent; what was not given is absent, or its default."""
    assert register(service).status_code == 201
    accepted = {"version": "2026-11", "accepted_at": int(moving_clock.time)}
    assert stored(service) == {
        "name": "Bob", "born": 1990, "news": True, "shelf": "novels", "terms": accepted
    }  # fmt: skip
    at = clock.written(moving_clock.time)
    user = service.auth.accounts.find(EMAIL)
    exported = service.auth.export(user.id)["custom_fields"]
    assert exported["terms"] == {"version": "2026-11", "accepted_at": at}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("name", None, "missing_field"),
        ("name", "  ", "empty_field"),
        ("name", "B" * 41, "too_long"),
        ("name", 7, "wrong_type"),
        ("name", "BOB", "wrong_value"),
        ("nickname", "B" * 513, "too_long"),
        ("born", "last year", "wrong_type"),
        ("born", 1850, "wrong_value"),
        ("shelf", "poems", "wrong_value"),
        ("terms", None, "missing_field"),
        ("terms", False, "wrong_value"),
        ("colour", "red", "unknown_field"),
    ],
)
def test_what_they_do_not_take_is_refused(
    service: Service, field: str, value: Any, code: str
) -> None:
    """By the field, without its value; and no account is created."""
    answer = register(service, **{field: value})
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["field"]) == (400, code, field)
    assert "BOB" not in answer.text
    assert list(service.auth.accounts.list()) == []


def test_the_form_has_labels_bounds_and_an_error_at_each_field(service: Service) -> None:
    """Without a script; what was typed is there again."""
    browser = Browser(service)
    page = browser.get("/users/new").text
    for part in (
        ">Full name</label>",
        'maxlength="40"',
        '<p class="hint" id="nickname-hint">What others see.</p>',
        '<input type="checkbox" value="true" id="terms" name="terms" required>',
        '<a href="/terms">Terms</a>',
        "<option>maps</option>",
    ):
        assert part in page
    typed = {"email": EMAIL, "password": PASSPHRASE}
    refused = submit(browser, "/users/new", "/users", **typed, name="BOB", born="1850")
    assert refused.status_code == 400
    for name in ("name", "born", "terms"):
        assert f'<p class="wrong" id="{name}-wrong">' in refused.text
    assert 'value="BOB"' in refused.text
    made = submit(browser, "/users/new", "/users", **typed, name=" Bob ", born="", terms="true")
    assert (made.status_code, "/outcome/" in made.location) == (303, True)
    assert stored(service)["name"] == "Bob"
    french = browser.client.get("/users/new", headers=HTML | {"Accept-Language": "fr"}).text
    assert "facultatif" in french


def test_they_wait_with_a_registration_until_its_email_is_verified(
    database: str, tmp_path: Path, moving_clock: Clock
) -> None:
    """With the time of consent, of the registration whose password is given."""
    service = of(database, tmp_path, **SMTP)
    registered_at = int(moving_clock.time)
    assert register(service, name="Eve").status_code == 202
    moving_clock.forward(200)
    other = service.client().post(
        "/users",
        json={"email": EMAIL, "password": PASSPHRASE[::-1]} | GIVEN | {"name": "Mallory"},
        environ_base={"REMOTE_ADDR": "192.0.2.99"},
    )
    assert other.status_code == 202
    moving_clock.forward(100)
    assert verify(service, newest(service), PASSPHRASE).status_code == 201
    found = stored(service)
    assert (found["name"], found["terms"]["accepted_at"]) == ("Eve", registered_at)
    service.auth.close()


def test_the_user_sees_them_and_changes_those_that_the_model_lets(service: Service) -> None:
    """The audit log has the names of the fields and the caller, and no value."""
    register(service)
    client = service.client()
    client.post("/sessions", data={"email": EMAIL, "password": PASSPHRASE})
    assert "/details" in client.get("/profile", headers=HTML).text
    shown = client.get("/details").get_json()["fields"]
    assert (shown["name"], shown["terms"]["version"]) == ("Bob", "2026-11")
    changed = client.put("/details", json={"name": "Rob", "nickname": "robby", "news": False})
    assert changed.status_code == 200
    found = stored(service)
    assert (found["name"], found["nickname"], found["news"]) == ("Rob", "robby", False)
    # Left out, an optional one is deleted; what cannot be changed stays.
    assert "born" not in found
    assert (found["shelf"], found["terms"]["version"]) == ("novels", "2026-11")
    for fixed in ({"shelf": "maps"}, {"terms": True}):
        refused = client.put("/details", json={"name": "Rob"} | fixed)
        assert (refused.status_code, refused.get_json()["code"]) == (400, "unknown_field")
    user = service.auth.accounts.find(EMAIL)
    (event,) = [
        row
        for row in service.auth.export(user.id)["activity"]
        if row["event"] == "custom_fields.changed"
    ]
    assert event["fields"] == ["born", "name", "news", "nickname"]
    assert "robby" not in json.dumps(event)
    again = client.put("/details", json={"name": "Rob", "nickname": "robby"})
    assert again.status_code == 200
    page = client.get("/details", headers=HTML).text
    assert 'value="robby"' in page
    assert "2026-11" in page


def test_a_browser_changes_them_by_the_form(service: Service) -> None:
    """An error stands at its field."""
    register(service)
    browser = Browser(service)
    submit(browser, "/sessions/new", "/sessions", email=EMAIL, password=PASSPHRASE)
    refused = submit(browser, "/details", "/details", name="")
    assert refused.status_code == 400
    assert '<p class="wrong" id="name-wrong">' in refused.text
    done = submit(browser, "/details", "/details", name="Rob", born="1991")
    assert (done.status_code, done.headers["Location"]) == (303, "/details")
    assert "Your details were saved." in browser.get("/details").text
    assert stored(service)["born"] == 1991


def test_an_account_that_is_gone_changes_nothing(service: Service) -> None:
    """And its values went with it."""
    register(service)
    user = service.auth.accounts.find(EMAIL)
    service.auth.accounts.delete(CODE, EMAIL)
    assert service.auth.custom_fields.of(user.id) == {}
    with pytest.raises(NotSignedIn):
        service.auth.custom_fields.change(CODE, user.id, {"name": "Rob"})


def test_commands_set_and_show_them(service: Service, tmp_path: Path) -> None:
    """By the model that a setting names; a wrong one is a sentence."""
    core = service.auth.settings.core
    environ = {
        "BIENVENUE_DATABASE_URL": service.url,
        "BIENVENUE_SECRET_KEY_FILE": str(core.secret_key_file),
        "BIENVENUE_INSTANCE": str(tmp_path),
        "BIENVENUE_CUSTOM_FIELDS": f"{__name__}:Reader",
    }

    def run(*words: str) -> Any:
        return CliRunner().invoke(main, words, env=environ)

    given = ("--field", "name=Bob", "--field", "terms=2026-10 2026-10-01T00:00:00Z")
    done = run("users", "add", EMAIL, "--no-password", *given, "--field", "born=1990")
    assert done.exit_code == 0, done.output
    shown = json.loads(run("users", "show", EMAIL).output)["custom_fields"]
    assert shown == {
        "name": "Bob",
        "born": 1990,
        "terms": {"version": "2026-10", "accepted_at": "2026-10-01T00:00:00Z"},
    }
    for field, said in {
        "colour=red": "there is no field of this name; there are: name, nickname, born",
        "born=1850": "born has a value that the field does not take",
        "terms=2026-10": "is not a version and a time",
        "news=maybe": "is neither yes nor no",
    }.items():
        refused = run("users", "add", "amy@example.com", "--no-password", "--field", field)
        assert (refused.exit_code, said in refused.output) == (2, True), refused.output


def test_they_leave_and_come_in_with_their_groups(service: Service) -> None:
    """What `users export` writes is read again as it was; a service stays behind."""
    register(service)
    service.auth.access_tokens.add_for_service(CODE, "backup", "ci", "*")
    service.auth.groups.add(CODE, EMAIL, "staff")
    before = stored(service)
    (row,) = list(service.auth.import_export.export_all(CODE, hashes=True))
    service.auth.accounts.delete(CODE, EMAIL)
    lines = iter([Line("1", {k: v for k, v in row.items() if v not in {None, ""}})])
    results: list[Any] = []
    service.auth.import_export.import_lines(CODE, lines, results.append)
    assert [result.outcome for result in results] == ["created"]
    bare = iter([Line("2", {"email": "amy@example.com"})])
    service.auth.import_export.import_lines(CODE, bare, results.append)
    assert service.auth.custom_fields.of(service.auth.accounts.find("amy@example.com").id) == {}
    assert stored(service) == before
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.groups.of(user.id) == {"staff"}


def test_the_openapi_document_has_them(service: Service) -> None:
    """As the body of a registration takes them."""
    document = service.client().get("/openapi.json").get_json()
    body = document["components"]["schemas"]["RegistrationRequest"]
    assert body["properties"]["name"]["maxLength"] == 40
    assert {"name", "terms", "email"} <= set(body["required"])
    assert "/details" in document["paths"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"password": (str, ...)}, "a field cannot be called password"),
        ({"groups": (str, ...)}, "a field cannot be called groups"),
        ({"tags": (list[str], ...)}, "the field tags is of a kind that no form has"),
        ({"tag": (str | int, ...)}, "the field tag is of a kind that no form has"),
    ],
)
def test_a_model_that_cannot_be_a_form_is_refused(
    tmp_path: Path, model: dict[str, Any], said: str
) -> None:
    """When the application starts."""
    settings = Settings({}, database_url=f"sqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(SettingsProblem, match=said):
        Auth(settings=settings, fields=create_model("Wrong", **model))


@pytest.mark.parametrize("named", ["nowhere:Fields", "json:dumps", "json:nothing"])
def test_a_setting_that_names_no_model_is_refused(tmp_path: Path, named: str) -> None:
    """With the name of the setting."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with pytest.raises(SettingsProblem, match="BIENVENUE_CUSTOM_FIELDS: "):
        Auth(settings=Settings({}, database_url=url, custom_fields=named))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_without_a_model_there_is_no_page(make_service: Any) -> None:
    """Nor an entry in the menu."""
    service = make_service()
    client = service.signed_in()
    assert client.get("/details").status_code == 404
    assert "/details" not in client.get("/profile", headers=HTML).text
    assert service.auth.custom_fields.values(None) == {}
