"""Corners: an account that goes away, a secret that moves, a name that is mistyped."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask, Response, request
from sqlalchemy import delete
from sqlalchemy.exc import NoResultFound

from bienvenue import DB, Bienvenue, current_user, logs, schema, tokens
from bienvenue.authentication import CODE, Caller, Channel
from bienvenue.cli import main
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Feature
from bienvenue.features.account_closure import AccountNotClosed
from bienvenue.features.account_closure.models import ClosedAccount
from bienvenue.features.accounts import NoSuchUser
from bienvenue.features.notification_email import WrongNotificationEmailToken
from bienvenue.features.one_time_tokens import Token
from bienvenue.features.password_reset import PASSWORD_RESET
from bienvenue.features.passwords import PasswordCommon
from bienvenue.features.sessions import SignedIn
from bienvenue.key_file import read_or_make
from bienvenue.key_ring import KeyProblem
from bienvenue.settings import Section, Settings, SettingsProblem
from bienvenue.web import form_drafts
from bienvenue.web.dispatch import NotSignedIn
from bienvenue.web.page import Answer, Visitor
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service

OTHER = "another passphrase, quite long"


def signed_in(service: Service) -> tuple[str, SignedIn]:
    """Sign Bob in; give the secret and what a check finds."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    secret = service.auth.create_session(EMAIL)
    me = service.auth.sessions.check(secret)
    assert secret is not None
    assert me is not None
    return secret, me


def test_an_account_deleted_meanwhile_is_nobodys(service: Service) -> None:
    """Between the check and the operation: 401 and no mistake of ours."""
    _, me = signed_in(service)
    service.auth.accounts.delete(CODE, EMAIL)
    with pytest.raises(NotSignedIn):
        service.auth.password_change.change(CODE, me, PASSPHRASE, OTHER)


def test_a_user_deleted_after_the_check_is_none(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a session that is over."""
    secret, me = signed_in(service)
    service.auth.accounts.delete(CODE, EMAIL)
    monkeypatch.setattr(service.auth.sessions, "check", lambda _secret: me)
    assert service.auth.get_user_from_session_id(secret) is None


def test_signing_out_ends_the_session_whatever_its_secret_is_now(service: Service) -> None:
    """A password change at the same moment gives it another."""
    _, me = signed_in(service)
    moved = service.auth.password_change.change(CODE, me, PASSPHRASE, OTHER)
    service.auth.sessions.end(CODE, me)
    assert service.auth.sessions.check(moved) is None


def test_a_shortened_lifetime_holds_for_open_sessions(make_service: MakeService) -> None:
    """Anyone who lowers it need not sign everybody out."""
    before = make_service(session_lifetime="30d")
    secret, me = signed_in(before)
    after = make_service(session_lifetime=1, session_idle=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bienvenue.clock.now", lambda: me.created_at + 0.5)
        assert after.auth.sessions.check(secret) is not None
        patched.setattr("bienvenue.clock.now", lambda: me.created_at + 2)
        assert after.auth.sessions.check(secret) is None
        assert not after.auth.sessions.list(me.user_id)
        assert after.auth.sessions.sweep(me.created_at + 2, 10) == 1


def test_no_repr_shows_a_secret(service: Service) -> None:
    """What an error reporter keeps of local values."""
    secret, _ = signed_in(service)
    proven = service.auth.passwords.verify(CODE, EMAIL, PASSPHRASE)
    shown = repr(
        [
            Answer(session=secret, device=secret),
            Visitor(secret, secret),
            Caller("", Channel.API, device=secret),
            proven,
        ]
    )
    assert secret not in shown
    assert "$2b$" not in shown


@pytest.mark.parametrize("password", [" " * 20, "\u2003" * 15])
def test_a_password_of_nothing_but_spaces_is_refused(service: Service, password: str) -> None:
    """It is the first that is tried after none at all."""
    with pytest.raises(PasswordCommon):
        service.auth.register_user(EMAIL, password)


@pytest.mark.parametrize(
    "criteria",
    [{"email": 5}, {"id": "x"}, {"email": "a\0b"}, {"id": 2**70}, {"uid": b"bytes"}],
)
def test_a_value_of_another_kind_finds_no_one(
    service: Service, criteria: dict[str, object]
) -> None:
    """The same on both databases."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    with pytest.raises(NoResultFound):
        service.auth._db.find_user_by(**criteria)


def test_the_exercises_methods_take_nothing_for_no_one(service: Service) -> None:
    """In any other case False, or None."""
    nothing: str = None  # type: ignore[assignment]  # what a careless caller passes
    assert not service.auth.valid_login(nothing, nothing)
    assert service.auth.create_session(nothing) is None
    assert service.auth.get_user_from_session_id(5) is None  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("table", ["users", "sessions", "audit_log"])
def test_a_table_of_one_of_our_names_is_foreign(tmp_path: Path, table: str) -> None:
    """Another program's table is neither used nor in the way of a traceback."""
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute(f"CREATE TABLE {table} (a)")
    connection.close()
    db = DB(f"sqlite:///{file}")
    with pytest.raises(schema.SchemaProblem, match="not ours"):
        schema.upgrade(db)
    db.close()


def test_a_mistyped_setting_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Least of all a SQLite database where PostgreSQL was meant."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIENVENUE_DATABSE_URL", "postgresql://x")
    for command in (["db", "upgrade"], ["db", "current"], ["users", "list"], ["serve"]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 1
        assert "did you mean BIENVENUE_DATABASE_URL?" in done.output
    assert not list(tmp_path.iterdir())


def test_a_value_in_the_place_of_a_file_is_not_repeated() -> None:
    """It may be the secret itself."""
    environ = {"BIENVENUE_DATABASE_URL_FILE": "postgresql://u:secret@h/d"}
    with pytest.raises(SettingsProblem, match="BIENVENUE_DATABASE_URL_FILE names") as problem:
        Settings(environ)
    assert "secret" not in str(problem.value)


def test_a_key_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """In one sentence."""
    (tmp_path / "instance").write_text("")
    with pytest.raises(KeyProblem, match="cannot make the key file"):
        read_or_make(tmp_path / "instance" / "keys")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Login.example.org:443/", "https://login.example.org"),
        ("http://localhost:80", "http://localhost"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_a_base_url_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    """Otherwise no request would ever come from it."""
    assert Settings({}, base_url=url).base_url == origin


def test_a_base_url_with_a_port_that_is_none_is_refused() -> None:
    """At start, and not at the first form."""
    with pytest.raises(SettingsProblem, match="BIENVENUE_BASE_URL"):
        Settings({}, base_url="http://localhost:abc")


def test_more_fields_than_any_form_has_are_refused(service: Service) -> None:
    """Reading them costs no more than their number."""
    many = {f"field {number}": "" for number in range(101)}
    answer = service.client().post("/sessions", json=many)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_body")


def test_a_view_of_the_host_that_asks_who_is_there_says_503_when_no_one_can_tell(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is not guarded."""
    app = Flask("host")
    core = service.auth.settings.core
    joined = Bienvenue(database_url=service.url, secret_key_file=core.secret_key_file).init_app(app)

    @app.get("/greeting")
    def greeting() -> str:
        return "hello" if current_user else "who are you?"

    def away(_secret: str) -> None:
        raise DatabaseUnavailable("away")

    assert app.test_client().get("/greeting").text == "who are you?"
    monkeypatch.setattr(joined.sessions, "look_up", away)
    cookie = {"Cookie": f"session_id={tokens.new()}"}
    answer = app.test_client(use_cookies=False).get("/greeting", headers=cookie)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    joined.close()


def test_unlocking_an_account_that_failed_nothing_is_no_event(service: Service) -> None:
    """There is nothing to tell its owner."""
    service.signed_in()
    service.auth.rate_limits.clear(EMAIL)
    assert service.auth.rate_limits.unlock(CODE, EMAIL) == EMAIL
    assert "account.unlocked" not in {entry.name for entry in service.auth.audit.list()}


def test_an_answer_of_a_request_without_an_id_has_none(service: Service) -> None:
    """As when a host application answers before the service saw the request."""
    dispatcher = service.app.extensions["bienvenue"]
    with service.app.test_request_context("/"):
        assert "X-Request-Id" not in dispatcher.name_answer(Response()).headers


# --- what happens between two steps -------------------------------------------------------------


def test_a_copy_of_an_account_deleted_meanwhile_is_refused(service: Service) -> None:
    """As the session is: 401 and no mistake of ours."""
    _, me = signed_in(service)
    service.auth.accounts.delete(CODE, EMAIL)
    with pytest.raises(NotSignedIn):
        service.auth.account_closure.download(CODE, me)


def test_an_account_deleted_while_it_is_disabled_is_none(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is gone by the time the transaction holds it."""
    signed_in(service)
    monkeypatch.setattr(service.auth.accounts, "hold", lambda _user: False)
    with pytest.raises(NoSuchUser):
        service.auth.accounts.disable(CODE, EMAIL)


def test_a_closure_that_is_gone_reopens_nothing(service: Service) -> None:
    """Also while its link is still there."""
    signed_in(service)
    service.auth.account_closure.close_for(CODE, EMAIL)
    with service.auth._db.transaction() as tx:
        tx.execute(delete(ClosedAccount))
    with pytest.raises(AccountNotClosed):
        service.auth.account_closure.reopen_for(CODE, EMAIL)


def test_a_link_of_an_account_that_is_gone_is_wrong(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look-up of the token and that of the account."""
    gone = Token(1, "uid", 0, "b@example.net", {}, None, 0.0, 9e9)
    monkeypatch.setattr(service.auth.one_time_tokens, "peek", lambda *_: gone)
    with pytest.raises(WrongNotificationEmailToken):
        service.auth.notification_email.peek("x" * 43)


def test_links_and_tokens_show_nothing_secret(service: Service) -> None:
    """Their purpose and their public name."""
    token, link = service.auth.one_time_tokens.new_token(PASSWORD_RESET, 60)
    assert repr(link) == "<Link password_reset>"
    assert token not in repr(link)
    assert repr(Token(1, "the uid", None, "b@example.net", {"a": 1}, None, 0.0, 1.0)) == (
        "<Token the uid>"
    )


def test_a_feature_that_is_not_open_is_named(service: Service) -> None:
    """Where it is asked for."""

    class Closed(Feature[Section]):
        name = "closed"

    with pytest.raises(LookupError, match="Closed is not open"):
        service.auth.use(Closed)


def test_retired_keys_are_listed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the batch up to which they verify."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert service.auth.audit.seal() > 0
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", service.url)
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", str(tmp_path / "keys"))
    run = CliRunner()
    assert run.invoke(main, ["keys", "rotate"]).exit_code == 0
    old = run.invoke(main, ["keys", "list"]).output.splitlines()[-1].split()[0]
    retired = run.invoke(main, ["keys", "retire", old])
    assert retired.exit_code == 0, retired.output
    listed = run.invoke(main, ["keys", "list"]).output
    assert f"{old}  retired: verifies the audit log up to batch 1" in listed


def test_a_browser_without_a_draft_has_none(service: Service) -> None:
    """Asked for by code, as no page asks without the cookie."""
    auth = service.auth
    with service.app.test_request_context("/email"):
        assert form_drafts.typed(request, auth.keys, auth.settings, "/email", None) == {}


def test_an_error_of_postgresql_is_logged_with_its_state() -> None:
    """Which says what kind it was, and nothing of a row."""

    class Crossed(Exception):
        sqlstate = "40001"

    assert logs._kind(Crossed()).endswith(".Crossed (SQLSTATE 40001)")
