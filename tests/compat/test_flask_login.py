"""An application of Flask-Login whose only change is its import."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, get_flashed_messages, render_template_string, session
from flask.testing import FlaskClient

from bienvenue import Auth, Bienvenue
from bienvenue import current_user as account
from bienvenue.authentication import CODE
from bienvenue.compat import flask_login
from bienvenue.compat.flask_login import (
    AnonymousUserMixin,
    FlaskLogin,
    FlaskLoginClient,
    LoginManager,
    UserMixin,
    confirm_login,
    current_user,
    decode_cookie,
    encode_cookie,
    fresh_login_required,
    links,
    login_fresh,
    login_remembered,
    login_required,
    login_url,
    login_user,
    logout_user,
    session_protected,
    set_login_view,
    user_accessed,
    user_loaded_from_cookie,
    user_loaded_from_request,
    user_logged_in,
    user_logged_out,
    user_login_confirmed,
    user_needs_refresh,
    user_unauthorized,
    utils,
)
from bienvenue.features.import_export.sources import from_json_lines
from bienvenue.settings import Settings
from tests.conftest import EMAIL, KEY, PASSPHRASE, Clock
from tests.features import audits
from tests.features.toys import Codes
from tests.web.browser import HTML
from tests.web.hosts import send

ANN = "ann@example.org"
CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
SIGNALS = (
    session_protected,
    user_accessed,
    user_loaded_from_cookie,
    user_loaded_from_request,
    user_logged_in,
    user_logged_out,
    user_login_confirmed,
    user_needs_refresh,
    user_unauthorized,
)


@dataclass(eq=False)
class Reader(UserMixin):
    """A user of the application."""

    id: int
    email: str | None = None
    active: bool = True

    @property
    def is_active(self) -> bool:
        return self.active


@dataclass
class Library:
    """An application with its users, one of whom has Bob's account."""

    app: Flask
    auth: Auth
    manager: LoginManager
    users: dict[str, Reader]
    heard: list[str] = field(default_factory=list)

    @property
    def links(self) -> FlaskLogin:
        return self.auth.use(FlaskLogin)

    def client(self, **headers: str) -> FlaskClient:
        client = self.app.test_client()
        client.environ_base.update({f"HTTP_{k.upper()}": v for k, v in headers.items()})
        return client


MakeLibrary = Callable[..., Library]


def add_views(app: Flask) -> None:
    """Add the views of an application that signs its users in itself."""

    @app.post("/in/<name>")
    def come(name: str) -> str:
        return str(login_user(app.config["USERS"][name], **app.config.get("HOW", {})))

    @app.post("/out")
    def go() -> str:
        return f"{logout_user()} {current_user.is_anonymous}"

    @app.post("/confirm")
    def confirm() -> str:
        confirm_login()
        return str(login_fresh())

    @app.get("/who")
    def who() -> str:
        state = f"fresh={login_fresh()} remembered={login_remembered()}"
        return f"{current_user.get_id()} {state}"

    @app.get("/shelf")
    @login_required
    def shelf() -> str:
        return render_template_string("{{ current_user.email }}")

    @app.get("/close")
    @fresh_login_required
    async def close() -> str:
        return "closed"


@pytest.fixture
def make_library(database: str, tmp_path: Path) -> Iterator[MakeLibrary]:
    """Make the application, on this database, with a manager whose attributes are given."""
    made: list[Auth] = []
    (tmp_path / "keys").write_text(KEY)
    given: dict[str, Any] = {
        "database_url": database,
        "secret_key_file": tmp_path / "keys",
        "bcrypt_cost": 4,
        "instance": tmp_path,
    }

    def make(features: tuple[Any, ...] = (), **attributes: Any) -> Library:
        if not made:
            auth = Auth(settings=Settings({}, **given), features=[FlaskLogin, *features])
            auth.upgrade()
            bob = auth.register_user(EMAIL, PASSPHRASE)
            auth.use(FlaskLogin).link(CODE, bob.uid, "1")
            made.append(auth)
        app = Flask("library")
        app.secret_key = "theirs"
        manager = LoginManager(**given)
        for name, value in attributes.items():
            assert hasattr(manager, name)
            setattr(manager, name, value)
        manager.init_app(app, features=features)
        auth = app.extensions["bienvenue"].auth
        made.append(auth)
        users = {"1": Reader(1, EMAIL), "2": Reader(2, ANN), "3": Reader(3), "4": Reader(4, "no")}
        app.config["USERS"] = users
        manager.user_loader(users.get)
        add_views(app)
        return Library(app, auth, manager, users)

    yield make
    for auth in made:
        auth.close()


@pytest.fixture
def library(make_library: MakeLibrary) -> Library:
    """The application as its owner wrote it."""
    return make_library()


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """The names of the signals that are sent, without that of each look."""
    names: list[str] = []
    receivers = []
    for signal in SIGNALS:

        def receive(_sender: object, name: str = signal.name, **_: object) -> None:
            names.append(name)

        receivers.append((signal, receive))
        if signal is not user_accessed:
            signal.connect(receive)
    yield names
    for signal, receive in receivers:
        signal.disconnect(receive)


def reopened(client: FlaskClient) -> FlaskClient:
    """The browser after it was closed and opened: Flask's session is gone."""
    with client.session_transaction() as kept:
        kept.clear()
    return client


# --- in and out ---------------------------------------------------------------------------------


def test_its_users_have_sessions_of_the_service(library: Library, heard: list[str]) -> None:
    """Rows that the pages show and end, opened and ended by code, with the user's own object."""
    client = library.client()
    assert client.get("/shelf").status_code == 401
    assert client.post("/in/1").text == "True"
    assert client.get("/who").text == "1 fresh=True remembered=False"
    assert client.get("/shelf").text == EMAIL
    assert client.get("/close").text == "closed"
    profile = client.get("/account/profile").get_json()
    assert profile["email"] == EMAIL
    opened = audits.only(library.auth, "session.opened")
    assert (opened.facts["actor"], opened.facts["channel"]) == ("code", "code")
    assert client.post("/out").text == "True True"
    assert client.get("/who").text == "None fresh=False remembered=False"
    assert client.get("/account/profile").status_code == 401
    assert heard == ["unauthorized", "logged-in", "logged-out"]
    client.post("/in/1")
    library.auth.sessions.end_all(CODE, library.auth.accounts.find(EMAIL).id)
    assert client.get("/shelf").status_code == 401


def test_a_user_without_an_account_gets_one(library: Library) -> None:
    """With the email, without a password, and once; a user without an email needs an import."""
    client = library.client()
    assert client.post("/in/2").text == client.post("/in/2").text == "True"
    assert client.get("/who").text.startswith("2 ")
    assert library.links.id_of(library.auth.accounts.find(ANN).id) == "2"
    assert audits.names(library.auth).count("flask_login.linked") == 2
    library.app.testing = True
    with pytest.raises(links.NoAccount, match="flask bienvenue users link EMAIL 3"):
        client.post("/in/3")
    assert client.post("/in/4").get_json()["code"] == "malformed_email"


def test_who_claims_the_email_of_an_account_does_not_get_it(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless the application vouches for its emails; a user has one account and it has one user."""
    library.auth.register_user(ANN, PASSPHRASE)
    client = library.client()
    assert client.post("/in/2").get_json()["code"] == "email_taken"
    assert "flask bienvenue users link EMAIL 2" in caplog.text
    assert client.get("/who").text.startswith("None ")
    library.manager.link_by_email = True
    assert client.post("/in/2").text == "True"
    library.users["5"] = Reader(5, EMAIL)
    assert client.post("/in/5").get_json()["code"] == "already_linked"


def test_a_reset_takes_a_claimed_account_from_who_claimed_it(library: Library) -> None:
    """The owner of the mailbox has it alone then; a link that was made on purpose stays."""
    client = library.client()
    assert client.post("/in/2").text == "True"
    for email, left in ((ANN, None), (EMAIL, "1")):
        user = library.auth.accounts.find(email)
        token = library.auth.get_reset_password_token(email)
        library.auth.update_password(token, "neuf grenouilles en hiver")
        assert library.links.id_of(user.id) == left
    assert client.post("/in/2").get_json()["code"] == "email_taken"
    assert client.get("/who").text.startswith("None ")


def test_a_token_is_no_session(make_library: MakeLibrary, heard: list[str]) -> None:
    """One of few scopes opens no view that names none; one of full access writes nothing."""
    library = make_library()
    tokens = library.auth.access_tokens
    few, full = (
        tokens.add_for(CODE, EMAIL, scope, scope).secret for scope in ("account:read", "*")
    )
    client = library.app.test_client(use_cookies=False)
    for secret, status in ((few, 401), (full, 200)):
        answer = client.get("/shelf", headers={"Authorization": f"Bearer {secret}"})
        assert (answer.status_code, answer.headers.get("Set-Cookie")) == (status, None)
    assert "session-protected" not in heard
    library.auth.register_user(ANN, PASSPHRASE)
    other = tokens.add_for(CODE, ANN, "full", "*").secret
    library.manager.account_loader(lambda _account: library.users["2"])
    assert client.get("/shelf", headers={"Authorization": f"Bearer {other}"}).text == ANN
    assert library.links.id_of(library.auth.accounts.find(ANN).id) is None


def test_two_requests_of_one_new_user_make_one_account(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that comes later takes what the other one made."""
    real = FlaskLogin._linked
    late = [None]

    def linked(self: FlaskLogin, login_id: str) -> Any:
        return late.pop() if late else real(self, login_id)

    assert library.client().post("/in/2").text == "True"
    monkeypatch.setattr(FlaskLogin, "_linked", linked)
    assert library.client().post("/in/2").text == "True"
    assert late == []


def test_no_one_is_signed_in_who_may_not_be(library: Library) -> None:
    """A user who is not active, unless forced; an account that is disabled, not even so."""
    client = library.client()
    library.users["1"].active = False
    assert client.post("/in/1").text == "False"
    library.app.config["HOW"] = {"force": True}
    assert client.post("/in/1").text == "True"
    library.auth.accounts.disable(CODE, EMAIL)
    assert client.get("/who").text.startswith("None ")
    assert client.post("/in/1").text == "False"


def test_a_missing_factor_is_asked_for_here_too(make_library: MakeLibrary) -> None:
    """There is no way in beside `Sessions.open`; the browser goes to the page of the factor."""
    library = make_library((Codes,))
    client = library.client()
    assert client.post("/in/1").get_json()["code"] == "mfa_required"
    assert client.get("/who").text.startswith("None ")
    assert client.post("/account/code", json={"code": "123456"}).status_code == 200
    assert client.get("/who").text == "1 fresh=True remembered=False"


@pytest.mark.usefixtures("moving_clock")
@pytest.mark.parametrize(
    ("how", "config", "seconds"),
    [
        ({"remember": True, "duration": timedelta(hours=7)}, {}, 25_200),
        ({"remember": True}, {"REMEMBER_COOKIE_DURATION": timedelta(days=2)}, 172_800),
        ({"remember": True}, {"REMEMBER_COOKIE_DURATION": 3600}, 3600),
        ({"remember": True}, {}, 30 * 86400),
        ({"remember": True, "duration": timedelta(days=365)}, {}, 30 * 86400),
    ],
)
def test_a_session_is_remembered_as_long_as_the_application_says(
    library: Library,
    how: dict[str, Any],
    config: dict[str, Any],
    seconds: int,
) -> None:
    """And no longer than the service allows. Closing the browser ends its freshness."""
    library.app.config |= {"HOW": how, **config}
    client = library.client()
    cookie = client.post("/in/1").headers.getlist("Set-Cookie")
    assert any(f"Max-Age={seconds}" in each for each in cookie)
    assert reopened(client).get("/who").text == "1 fresh=False remembered=True"


@pytest.mark.parametrize("config", ["REMEMBER_COOKIE_DURATION", "duration"])
def test_a_duration_that_is_none_is_said(library: Library, config: str) -> None:
    """With the name of the setting or of the argument."""
    how = {"remember": True} | ({"duration": "long"} if config == "duration" else {})
    library.app.config |= {"HOW": how, "REMEMBER_COOKIE_DURATION": "long"}
    library.app.testing = True
    with pytest.raises(TypeError, match=f"{config} must be a datetime.timedelta"):
        library.client().post("/in/1")


# --- fresh --------------------------------------------------------------------------------------


def test_a_session_is_fresh_for_a_while_and_while_the_browser_is_open(
    library: Library, moving_clock: Clock
) -> None:
    """`confirm_login` makes it fresh again, with a new secret."""
    library.app.config["HOW"] = {"remember": True}
    client = library.client()
    assert client.post("/confirm").text == "False"
    client.post("/in/1")
    assert client.get("/close").text == "closed"
    secret = client.get_cookie("session_id")
    reopened(client)
    assert client.get("/close").status_code == 401
    assert client.post("/confirm").text == "True"
    assert client.get_cookie("session_id") != secret
    assert client.get("/who").text == "1 fresh=True remembered=True"
    assert "session.reauthenticated" in audits.names(library.auth)
    moving_clock.forward(15 * 60)
    assert client.get("/close").status_code == 401
    assert client.get("/shelf").text == EMAIL


def test_a_session_that_was_never_fresh(library: Library) -> None:
    """As the application says it."""
    library.app.config["HOW"] = {"fresh": False}
    client = library.client()
    client.post("/in/1")
    assert client.get("/who").text == "1 fresh=False remembered=False"


def test_a_password_on_a_page_of_the_service_makes_it_fresh(library: Library) -> None:
    """Signing in there, and giving it once more; the user is the application's."""
    client = library.client()
    assert client.post("/account/sessions", json=CREDENTIALS).status_code == 200
    assert client.get("/who").text == "1 fresh=True remembered=True"
    refused = reopened(client).get("/close", headers=HTML)
    assert refused.location == "/account/reauthentication?next=%2Fclose"
    assert send(client, refused.location, password=PASSPHRASE).location == "/close"
    assert client.get("/close").text == "closed"


@pytest.mark.parametrize("fresh", [True, False])
def test_a_client_of_tests_is_signed_in_without_a_form(library: Library, fresh: bool) -> None:
    """With a user who has an account, or an email to make one."""
    library.app.test_client_class = FlaskLoginClient
    library.manager.session_protection = None
    for name in ("1", "2"):
        client = library.app.test_client(user=library.users[name], fresh_login=fresh)
        assert client.get("/who").text == f"{name} fresh={fresh} remembered=True"
    assert library.app.test_client().get("/who").text.startswith("None ")


# --- where a session comes from -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "permanent", "after"),
    [
        (None, False, "1 fresh=True remembered=False"),
        ("basic", False, "1 fresh=False remembered=False"),
        ("strong", False, "None fresh=False remembered=False"),
        ("strong", True, "1 fresh=False remembered=False"),
    ],
)
def test_a_session_from_another_browser_is_protected(
    library: Library, heard: list[str], mode: str | None, permanent: bool, after: str
) -> None:
    """It is not fresh any more, or it ends: in the service, too."""
    library.manager.session_protection = mode
    client = library.client(user_agent="one")
    client.post("/in/1")
    with client.session_transaction() as kept:
        kept.permanent = permanent
    assert client.get("/who").text == "1 fresh=True remembered=False"
    assert client.get("/who", headers={"User-Agent": "two"}).text == after
    assert client.get("/who").text == after
    assert ("session-protected" in heard) is (mode is not None)
    ended = client.get("/account/profile").status_code == 401
    assert ended is after.startswith("None")


# --- who is refused -----------------------------------------------------------------------------


def test_a_browser_is_led_to_the_page_of_the_service(library: Library) -> None:
    """And comes back; a preflight passes."""
    client = library.client()
    assert client.get("/shelf", headers=HTML).location == "/account/sessions/new?next=%2Fshelf"
    sent = send(client, "/account/sessions/new?next=/shelf", **CREDENTIALS)
    assert sent.location == "/shelf"
    assert client.options("/shelf").status_code == 200


def test_an_application_that_answers_401_itself_does_so(library: Library) -> None:
    """As Flask-Login's `abort(401)` lets it."""
    library.app.register_error_handler(401, lambda _: ("go away", 401))
    assert library.client().get("/shelf", headers=HTML).text == "go away"


def test_the_application_may_have_a_page_of_its_own(library: Library) -> None:
    """For signing in and for the password, of the whole application or of a blueprint."""
    library.manager.login_view = library.manager.refresh_view = "who"
    library.manager.localize_callback = str.upper
    client = library.client()
    with client:
        assert client.get("/shelf?page=2").location == "/who?next=%2Fshelf%3Fpage%3D2"
        assert get_flashed_messages() == ["PLEASE LOG IN TO ACCESS THIS PAGE."]
    client.post("/in/1")
    reopened(client)
    library.manager.needs_refresh_message = None
    with client:
        assert client.get("/close").location == "/who?next=%2Fclose"
        assert get_flashed_messages() == []
    library.app.config["USE_SESSION_FOR_NEXT"] = True
    with client:
        assert client.get("/close").location == "/who"
        assert session["next"] == "/close"


def test_the_application_may_answer_itself(library: Library, heard: list[str]) -> None:
    """In the place of a redirect; an async function too."""

    @library.manager.unauthorized_handler
    async def strange() -> tuple[str, int]:
        return "who are you?", 418

    @library.manager.needs_refresh_handler
    def stale() -> Response:
        return Response("again", 419)

    client = library.client()
    assert client.get("/shelf").status_code == 418
    client.post("/in/1")
    assert reopened(client).get("/close").status_code == 419
    assert heard == ["unauthorized", "logged-in", "loaded-from-cookie", "needs-refresh"]


def test_a_login_view_of_a_blueprint(library: Library) -> None:
    """Beside that of the application, in any order."""
    desk = Blueprint("desk", __name__, url_prefix="/desk")
    desk.add_url_rule("/", view_func=login_required(lambda: "desk"), endpoint="index")
    library.app.register_blueprint(desk)
    with library.app.app_context():
        set_login_view("/in")
        assert library.manager.login_view == "/in"
        set_login_view("/desk/in", blueprint=desk)
    client = library.client()
    assert client.get("/desk/").location == "/desk/in?next=%2Fdesk%2F"
    assert client.get("/shelf").location == "/in?next=%2Fshelf"
    with library.app.app_context():
        set_login_view("/come")
    assert client.get("/shelf").location == "/come?next=%2Fshelf"


def test_a_guard_of_the_whole_application_leaves_the_pages_open(library: Library) -> None:
    """Else no visitor could sign in; tests may switch the guards off."""
    library.app.before_request(login_required(lambda: None))
    client = library.client()
    assert client.get("/who").status_code == 401
    assert client.get("/account/sessions/new", headers=HTML).status_code == 200
    library.app.config["LOGIN_DISABLED"] = True
    assert client.get("/who").status_code == 200


# --- whose users --------------------------------------------------------------------------------


def test_a_user_may_come_with_the_request(library: Library, heard: list[str]) -> None:
    """By a key of the application's own; no session is opened. Without a loader it says so."""
    loader = library.manager.request_loader(lambda sent: library.users.get(sent.args.get("key")))
    assert loader is library.manager.request_callback
    client = library.client()
    assert client.get("/shelf?key=2").text == ANN
    assert client.get("/shelf").status_code == 401
    library.manager._user_callback = None
    client.post("/in/1")
    assert client.get("/shelf").status_code == 401
    assert client.get("/shelf?key=2").text == ANN
    assert heard == [
        "loaded-from-request",
        "unauthorized",
        "logged-in",
        "unauthorized",
        "loaded-from-request",
    ]
    library.manager._request_callback = library.manager.user_callback
    library.app.testing = True
    with pytest.raises(RuntimeError, match="Missing user_loader or request_loader"):
        client.get("/shelf")


def test_who_registers_on_a_page_becomes_a_user_of_the_application(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it says how; until then the visitor stays one, and the log says why."""
    client = library.client()
    typed = {"email": "new@example.org", "password": PASSPHRASE}
    client.post("/account/users", json=typed)
    client.post("/account/sessions", json=typed)
    assert client.get("/shelf").status_code == 401
    assert "linked to no user of the application" in caplog.text

    @library.manager.account_loader
    def join(found: Any) -> Reader:
        assert found == account
        library.users["9"] = Reader(9, found.email)
        return library.users["9"]

    assert client.get("/shelf").text == "new@example.org"
    assert library.links.id_of(library.auth.accounts.find("new@example.org").id) == "9"
    del library.users["9"]
    assert client.get("/shelf").status_code == 401


def test_an_application_without_a_secret_key_has_no_fresh_session(library: Library) -> None:
    """Flask keeps nothing for it; its users are known all the same."""
    library.app.secret_key = None
    library.app.config["HOW"] = {"fresh": False}
    client = library.client()
    assert client.post("/account/sessions", json=CREDENTIALS).status_code == 200
    assert client.get("/who").text == "1 fresh=False remembered=True"
    assert client.post("/in/1").text == "True"
    assert client.post("/out").text == "True True"


def test_the_names_of_templates_are_the_applications_own(library: Library) -> None:
    """And outside of a request there is no user."""
    with library.app.test_request_context():
        shown = render_template_string(
            "{{ current_user.is_anonymous }} {{ account_url('profile') }}"
        )
        assert shown == "True /account/profile"
    with library.app.app_context():
        assert not current_user


def test_the_service_may_be_there_already(make_library: MakeLibrary, tmp_path: Path) -> None:
    """With the feature; without it the links of its users have no place."""
    url = make_library().auth.settings.database_url
    given: dict[str, Any] = {"database_url": url, "secret_key_file": tmp_path / "keys"}
    for features, fits in (((FlaskLogin,), True), ((), False)):
        app = Flask("other")
        service = Bienvenue(app, features=features, **given)
        assert service is not None
        if fits:
            LoginManager(app, add_context_processor=False)
            assert app.login_manager is not None  # type: ignore[attr-defined]  # see init_app
        else:
            with pytest.raises(LookupError, match="FlaskLogin is not open"):
                LoginManager(app)
        app.extensions["bienvenue"].auth.close()


# --- accounts and users -------------------------------------------------------------------------


def test_an_import_links_and_an_export_names_the_link(library: Library, tmp_path: Path) -> None:
    """By the column of the application's own id; one id twice is said, and links nothing."""
    lines: list[dict[str, Any]] = [
        {"email": "ada@example.org", "flask_login_id": 7},
        {"email": "eve@example.org"},
        {"email": "kim@example.org", "flask_login_id": "x" * 256},
        {"email": "max@example.org", "flask_login_id": True},
    ]
    feature = library.auth.import_export
    results: list[Any] = []

    def read(given: list[dict[str, Any]]) -> Any:
        file = tmp_path / "users.jsonl"
        file.write_text("\n".join(json.dumps(line) for line in given))
        with file.open() as stream:
            found = from_json_lines(stream, feature.columns())
            return feature.import_lines(CODE, found, results.append)

    assert (read(lines).created, len(results)) == (2, 4)
    assert [each.words for each in results[2:]] == [
        "flask_login_id has more than 255 characters",
        "flask_login_id is not a text",
    ]
    ada = library.auth.accounts.find("ada@example.org")
    assert library.links.id_of(ada.id) == "7"
    assert library.auth.export(ada.id)["flask_login_id"] == "7"
    exported = {each["email"]: each for each in feature.export_all(CODE, hashes=False)}
    assert exported["ada@example.org"]["flask_login_id"] == "7"
    assert exported["eve@example.org"]["flask_login_id"] is None
    assert read([{"email": "lee@example.org"}]).created == 1
    with pytest.raises(links.AlreadyLinked, match="Two users have one flask_login_id"):
        read([{"email": "two@example.org", "flask_login_id": "7"}])
    assert "two@example.org" not in library.auth.accounts.emails()


def test_a_command_links_and_a_deleted_account_is_linked_no_more(library: Library) -> None:
    """A second time changes nothing."""
    library.auth.register_user(ANN, PASSPHRASE)
    run = library.app.test_cli_runner().invoke
    for _ in range(2):
        said = run(args=["bienvenue", "users", "link", ANN, "2"]).output
        assert said == f"{ANN} is the user 2 of the application\n"
    assert "linked already" in run(args=["bienvenue", "users", "link", ANN, "1"]).output
    ann = library.auth.accounts.find(ANN).id
    library.auth.accounts.disable(CODE, ANN)
    assert library.links.id_of(ann) == "2"
    library.auth.accounts.delete(CODE, ANN)
    assert library.links.id_of(ann) is None


# --- names that stand alone ---------------------------------------------------------------------


def test_links_lead_to_a_page_and_back() -> None:
    """To a view by its endpoint or address, and without the host that both share."""
    app = Flask("library")
    app.add_url_rule("/in", endpoint="in")
    with app.test_request_context():
        assert login_url("in") == "/in"
        assert login_url("in", "http://localhost/a?b=c") == "/in?next=%2Fa%3Fb%3Dc"
        assert login_url("/in?n=1", "/a", "to") == "/in?n=1&to=%2Fa"
        away = login_url("https://other/in", "http://localhost/a")
        assert away == "https://other/in?next=http%3A%2F%2Flocalhost%2Fa"
        app.config["FORCE_HOST_FOR_REDIRECTS"] = "good.example"
        assert login_url("/in", "/a") == "//good.example/in?next=%2Fa"


def test_a_text_is_signed_with_the_key_of_the_application() -> None:
    """Or with another; what was changed is none."""
    app = Flask("library")
    app.config["SECRET_KEY"] = "theirs"
    with app.app_context():
        signed = encode_cookie("1|2")
        assert decode_cookie(signed) == "1|2"
        assert signed == encode_cookie("1|2", key=b"theirs")
        assert decode_cookie(signed, key="other") is None
        assert decode_cookie("1|2|" + "é") is None
        assert decode_cookie("nothing") is None


def test_the_users_of_an_application_have_what_guards_ask() -> None:
    """By the class that they inherit, which compares them by their name."""

    class Nameless(UserMixin):
        pass

    one, same, other = Reader(1), Reader(1), Reader(2)
    assert (one.get_id(), one.is_authenticated, one.is_anonymous) == ("1", True, False)
    assert one == same
    assert one != other
    assert one != "1"
    assert len({one, same}) == 2
    assert Nameless().is_active
    with pytest.raises(NotImplementedError, match="define get_id"):
        Nameless().get_id()
    visitor = AnonymousUserMixin()
    assert (visitor.is_authenticated, visitor.is_active, visitor.is_anonymous) == (
        False,
        False,
        True,
    )
    assert repr(visitor.get_id()) == "None"  # type: ignore[func-returns-value]  # what is asked


def test_the_names_of_utils_are_the_same() -> None:
    """Many applications import them from there."""
    for name in utils.__all__:
        assert getattr(utils, name) is getattr(flask_login, name)
