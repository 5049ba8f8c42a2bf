"""What features tell each other: events, attempts, and what they hold about a person."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import NoResultFound

from bienvenue import Auth
from bienvenue.auth import _generate_uuid, _hash_password
from bienvenue.authentication import CODE, Authentication, Caller
from bienvenue.feature import Attempt, Event, Feature, Reason, Refusal
from bienvenue.hashing import Hasher, Match
from bienvenue.settings import Section
from bienvenue.user import User
from tests.conftest import EMAIL, KEY, PASSPHRASE, Service
from tests.features.hearing import Hearing, rows

pytestmark = pytest.mark.statements

OTHER = "heard@example.com"


class Odd(Feature[Section]):
    """Does what each test wants at each verb."""

    name = "odd"

    def __init__(self, auth: Auth) -> None:
        """Join the features of an Auth."""
        super().__init__(auth.registry, auth._db, Section())
        auth.registry.add(self)
        self.fails = ""
        self.revoked: list[tuple[int, str, bytes | None]] = []

    def on_event(self, event: Event) -> None:
        """Write a row, and fail if the test says so."""
        if event.name == "account.registered":
            self._db.add_user(OTHER, "!")
        if self.fails == "hear":
            raise RuntimeError("cannot hear")

    def after_commit(self, event: Event) -> None:
        """Fail if the test says so."""
        if self.fails == "after":
            raise RuntimeError(f"cannot act after {event.name}")

    def revoke(
        self, caller: Caller, user_id: int, reason: Reason, keep_session: bytes | None = None
    ) -> None:
        """Note what is to be revoked."""
        assert caller is CODE
        self.revoked.append((user_id, reason, keep_session))

    def export(self, user_id: int) -> Mapping[str, Any]:
        """Give something."""
        return {"odd": user_id}

    def sweep(self, now: float, limit: int) -> int:
        """Say that something was swept."""
        return min(limit, int(now))


def test_an_event_that_no_one_declares_is_a_mistake(service: Service) -> None:
    """So a misspelt one is found by the first test that runs it."""
    with pytest.raises(LookupError, match=r"account\.registred"):
        service.auth.publish(Event(CODE, "account.registred"))


def test_every_event_is_declared_with_what_it_means(service: Service) -> None:
    """In the grammar of the house: past tense, dotted, one feature each."""
    declared = [name for feature in service.auth.features for name in feature.events]
    assert len(declared) == len(set(declared))
    for feature in service.auth.features:
        for name, meaning in feature.events.items():
            assert name.count(".") == 1
            assert meaning.endswith(".")


def test_what_hears_writes_in_the_same_transaction(service: Service) -> None:
    """Its row is there with the account's."""
    Odd(service.auth)
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert service.auth._db.find_user_by(email=OTHER)


def test_what_hears_is_rolled_back_with_the_event(service: Service) -> None:
    """It fails: neither its row nor the account is there, and no one acts afterwards."""
    odd, hearing = Odd(service.auth), Hearing(service.auth)
    odd.fails = "hear"
    with pytest.raises(RuntimeError, match="cannot hear"):
        service.auth.register_user(EMAIL, PASSPHRASE)
    for email in (EMAIL, OTHER):
        with pytest.raises(NoResultFound):
            service.auth._db.find_user_by(email=email)
    assert hearing.committed == []


def test_what_happens_after_the_commit_changes_no_answer(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """It fails, the log has it, the account is made, and others still act."""
    odd, hearing = Odd(service.auth), Hearing(service.auth)
    odd.fails = "after"
    answer = service.client().post("/users", json={"email": EMAIL, "password": PASSPHRASE})
    assert answer.status_code == 201
    assert hearing.names == ["account.registered"]
    assert "odd failed after account.registered" in caplog.text
    assert PASSPHRASE not in caplog.text


def test_the_limits_may_stop_an_operation_before_it_costs_anything(
    service: Service, hash_costs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt bears the plain email and where it comes from, and no hash is made."""
    attempts: list[Attempt] = []

    def refuse(_caller: Caller, attempt: Attempt, *_counts: object) -> None:
        attempts.append(attempt)
        raise Refusal

    client = service.signed_in()
    hash_costs.clear()
    monkeypatch.setattr(service.auth.rate_limits, "check", refuse)
    sent = {"email": EMAIL.upper(), "password": PASSPHRASE}
    answer = service.client().post("/sessions", json=sent)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "refused")
    change = {"old_password": PASSPHRASE, "new_password": "onze grenouilles au soleil"}
    assert client.put("/password", json=change).status_code == 400
    assert attempts == [
        Attempt("sign_in", EMAIL, "127.0.0.1"),
        # Anyone who has a session is no attacker.
        Attempt("change_password", EMAIL, "127.0.0.1", known=True),
    ]
    assert hash_costs == []


def test_revoking_reaches_every_feature(service: Service) -> None:
    """The one choke point: what it is about, why, and what to keep."""
    odd = Odd(service.auth)
    service.signed_in()
    user = service.auth.accounts.find(EMAIL)
    service.auth.revoke(CODE, user.id, Reason.EMAIL_CHANGED, keep_session=b"kept")
    assert odd.revoked == [(user.id, "email changed", b"kept")]
    assert rows(service.auth) == 0


def test_exports_and_sweeps_are_those_of_all_features(service: Service) -> None:
    """Side by side, and summed up."""
    Odd(service.auth)
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    assert service.auth.export(user.id)["odd"] == user.id
    assert service.auth.sweep(5.0) == 5
    assert service.auth.sweep(5.0, limit=3) == 3


def test_a_feature_can_shut_an_account(service: Service) -> None:
    """Only the right password learns why; a feature that says nothing shuts nothing."""

    class TermsDue(Refusal):
        status = 403
        code = "terms_due"

    class Terms(Feature[Section]):
        name = "terms"

        def sign_in_refusal(self, user: User) -> Refusal | None:
            return TermsDue() if user.email == EMAIL else None

    service.auth.registry.add(Terms(service.auth.registry, service.auth._db, Section()))
    for email in (EMAIL, "amy@example.com"):
        service.auth.register_user(email, PASSPHRASE)

    def heard(email: str, password: str) -> tuple[int, object]:
        sent = {"email": email, "password": password}
        answer = service.client().post("/sessions", json=sent)
        return answer.status_code, answer.get_json().get("code")

    assert heard("amy@example.com", PASSPHRASE) == (200, None)
    assert heard(EMAIL, f"{PASSPHRASE}x") == (401, "wrong_credentials")
    assert heard(EMAIL, PASSPHRASE) == (403, "terms_due")
    assert rows(service.auth) == 1


def test_a_feature_need_not_do_anything(service: Service) -> None:
    """Every verb is optional: one that has none changes nothing."""

    class Idle(Feature[Section]):
        name = "idle"

    service.auth.registry.add(Idle(service.auth.registry, service.auth._db, Section()))
    service.signed_in()
    user = service.auth.accounts.find(EMAIL)
    own = {"uid", "email", "created_at", "disabled_at"}
    assert set(service.auth.export(user.id)) == own | {
        "sessions",
        "known_devices",
        "activity",
        "emails",
        "password_reset",
        "language",
        "email_verified_at",
        "notification_email",
        "account_closure",
        "email_change",
        "former_emails",
        "imported",
        "sign_ins_in_progress",
        "groups",
        "custom_fields",
        "access_tokens",
    }
    assert service.auth.sweep(0.0) == 0
    idle = Idle(service.auth.registry, service.auth._db, Section())
    assert (idle.identifiers(), idle.required_factors(Authentication(user))) == ((), ())
    assert (idle.sign_in_refusal(user), idle.context()) == (None, {})
    assert idle.newcomer(CODE, EMAIL, PASSPHRASE) is None
    idle.pause(0.0)
    idle.on_events([Event(CODE, "account.registered", user.id)])
    service.auth.accounts.delete(CODE, EMAIL)


def test_a_need_is_read_from_its_class_and_looked_up_once(service: Service) -> None:
    """The class tells what is needed; an open feature has the other one itself."""
    sessions = service.auth.sessions
    assert type(sessions)._passwords.kind is type(service.auth.passwords)
    assert sessions._passwords is service.auth.passwords
    assert vars(sessions)["_passwords"] is service.auth.passwords


def test_a_refusal_says_what_its_class_says_unless_told_otherwise() -> None:
    """Its own message is for one case, never for the class."""
    refusal = Refusal("field", message="Another reason.")
    assert (str(refusal), refusal.message, refusal.field) == (
        "Another reason.",
        "Another reason.",
        "field",
    )
    assert Refusal().message == "This is refused."


def test_the_functions_of_the_exercise_are_there() -> None:
    """At the cost of the house, and UUIDs as text."""
    hashed = _hash_password(PASSPHRASE)
    assert hashed.startswith(b"$2b$12$")
    assert Hasher(12).verify(PASSPHRASE, hashed.decode()) is Match.YES
    assert len(_generate_uuid()) == 36


def test_an_auth_without_arguments_reads_the_settings(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the exercise says it: Auth()."""
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", database)
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", str(keys))
    monkeypatch.setenv("BIENVENUE_BCRYPT_COST", "4")
    auth = Auth()
    assert auth.register_user(EMAIL, PASSPHRASE).id
    auth.close()


def test_nothing_secret_reaches_the_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """A whole journey at the finest level."""
    with caplog.at_level(logging.DEBUG):
        client = service.signed_in()
        client.post("/sessions", json={"email": EMAIL, "password": PASSPHRASE + "?"})
        secret = client.get_cookie("session_id")
        client.delete("/sessions?which=all")
    assert secret is not None
    for word in (PASSPHRASE, secret.value, service.auth.accounts.find(EMAIL).hashed_password):
        assert word not in caplog.text
