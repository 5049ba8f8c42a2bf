"""Where the service differs from the exercise: each row of the table in docs has its test here.

The table is in docs/guide/from-the-exercise.md; `DIFFERENCES` names the test of each row.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.exc import NoResultFound

from bienvenue import tokens
from bienvenue.authentication import CODE
from bienvenue.features.passwords import PasswordTooShort
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.web.browser import Browser

NEW = "dix grenouilles au soleil"
CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}


def test_the_column_session_id_holds_the_generation_and_no_secret(service: Service) -> None:
    """A copy of the database opens nothing: the secret stands nowhere in it."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    secret = service.auth.create_session(EMAIL)
    stored = service.auth._db.find_user_by(id=user.id).session_id
    assert stored not in {None, secret}
    assert service.auth.get_user_from_session_id(stored) is None
    row = service.auth.sessions.list(user.id)[0]
    assert (row.digest, row.generation) == (tokens.digest("session", str(secret)), stored)


def test_a_second_session_leaves_the_first_one_alive(service: Service) -> None:
    """Each device has a session of its own; create_session opens one more."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    for secret in [service.auth.create_session(EMAIL), service.auth.create_session(EMAIL)]:
        found = service.auth.get_user_from_session_id(secret)
        assert found is not None
        assert found.email == EMAIL


@pytest.mark.parametrize("column", ["session_id", "reset_token"])
def test_none_finds_no_one(service: Service, column: str) -> None:
    """There is a user whose column is NULL, and searching by None does not find them."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    assert getattr(user, column) is None
    with pytest.raises(NoResultFound):
        service.auth._db.find_user_by(**{column: None})


def test_a_short_password_is_refused(service: Service) -> None:
    """The exercise takes any password; the service has a policy."""
    with pytest.raises(PasswordTooShort):
        service.auth.register_user(EMAIL, "fourteen chars")
    with pytest.raises(NoResultFound):
        service.auth._db.find_user_by(email=EMAIL)


def test_registering_answers_201(service: Service) -> None:
    """Something was created; the body is the exercise's."""
    answer = service.client().post("/users", data=CREDENTIALS)
    assert answer.status_code == 201
    assert answer.json == {"email": EMAIL, "message": "user created"}


def test_a_taken_email_answers_409(service: Service) -> None:
    """The exercise says 400; the message is the same."""
    service.client().post("/users", data=CREDENTIALS)
    answer = service.client().post("/users", data=CREDENTIALS)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "email_taken")
    assert answer.get_json()["message"] == "email already registered"


def test_a_wrong_sign_in_is_a_problem_document(service: Service) -> None:
    """The status is the exercise's 401; the body is RFC 9457 and no page of HTML."""
    answer = service.client().post("/sessions", data=CREDENTIALS)
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert (answer.get_json()["status"], answer.get_json()["code"]) == (401, "wrong_credentials")


def test_signing_out_answers_204_to_a_program(service: Service) -> None:
    """The exercise redirects anyone who asks; a program has nowhere to go."""
    answer = service.signed_in().delete("/sessions")
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.location is None


def test_signing_out_redirects_a_browser_with_303(service: Service) -> None:
    """303 says GET, whatever the method was."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    answer = browser.submit("/profile", "/sessions", _method="DELETE")
    assert (answer.status_code, answer.location) == (303, "/")


def test_signing_out_without_a_session_answers_401(service: Service) -> None:
    """The exercise says 403, which would mean: known, and not allowed."""
    answer = service.client().delete("/sessions")
    assert (answer.status_code, answer.get_json()["code"]) == (401, "not_signed_in")


def test_the_profile_of_no_one_answers_401(service: Service) -> None:
    """The exercise says 403 here too."""
    answer = service.client().get("/profile")
    assert (answer.status_code, answer.get_json()["code"]) == (401, "not_signed_in")


def test_the_profile_says_more_than_the_email(service: Service) -> None:
    """Email as in the exercise, and beside it the public name, the times and the device."""
    answer = service.signed_in().get("/profile")
    assert answer.get_json().keys() == {"email", "uid", "created_at", "session", "fresh"}
    assert answer.get_json()["email"] == EMAIL


def test_emails_are_normalised(service: Service) -> None:
    """One person is one account however the email is typed; the course has two."""
    user = service.auth.register_user(f"  {EMAIL.upper()} ", PASSPHRASE)
    assert user.email == EMAIL
    with pytest.raises(ValueError, match="already exists"):
        service.auth.register_user(EMAIL, PASSPHRASE)
    assert service.auth.valid_login(EMAIL.title(), PASSPHRASE)


def test_a_malformed_email_is_refused(service: Service) -> None:
    """The exercise takes anything as an email."""
    with pytest.raises(Exception, match="Enter an email address"):
        service.auth.register_user("bob", PASSPHRASE)


def test_above_72_bytes_the_other_form_of_bcrypt_is_used(service: Service) -> None:
    """The exercise's bcrypt refuses such a password, or silently cuts it in older versions."""
    long = "neuf grenouilles sous la pluie, " * 4
    user = service.auth.register_user(EMAIL, long)
    assert user.hashed_password.startswith("$bcrypt-sha256$v=2,t=2b,r=4$")
    assert service.auth.valid_login(EMAIL, long)
    assert not service.auth.valid_login(EMAIL, long[:72])


def test_destroy_session_ends_all_sessions(service: Service) -> None:
    """The exercise has one session a user, so all of them is what it means."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    secrets = [service.auth.create_session(EMAIL) for _ in range(3)]
    service.auth.destroy_session(user.id)
    assert [service.auth.get_user_from_session_id(secret) for secret in secrets] == [None] * 3


def test_the_column_reset_token_holds_a_digest(service: Service) -> None:
    """What stands in the database sets no password."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    token = service.auth.get_reset_password_token(EMAIL)
    stored = service.auth._db.find_user_by(id=user.id).reset_token
    assert stored == tokens.digest("reset", token).hex()
    with pytest.raises(ValueError, match="reset token"):
        service.auth.update_password(stored, NEW)


def test_the_reset_token_goes_by_email_only(service: Service) -> None:
    """Anyone who asks hears 202 and no token, for every email; the owner gets an email."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    for email in (EMAIL, "unknown@example.com"):
        answer = service.client().post("/reset_password", data={"email": email})
        assert answer.status_code == 202
        assert answer.json == {"email": email, "message": "check your email"}
    assert [message.email for message in service.auth.mail.list()] == [EMAIL]


def test_a_reset_token_ends(service: Service, moving_clock: Clock) -> None:
    """In the course it works for ever; here for an hour, or until the account is disabled."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    old = service.auth.get_reset_password_token(EMAIL)
    moving_clock.forward(3600)
    with pytest.raises(ValueError, match="reset token"):
        service.auth.update_password(old, NEW)
    token = service.auth.get_reset_password_token(EMAIL)
    service.auth.accounts.disable(CODE, EMAIL)
    with pytest.raises(ValueError, match="reset token"):
        service.auth.update_password(token, NEW)


def test_a_reset_names_the_email_of_its_token(service: Service) -> None:
    """The exercise repeats whatever email stands beside the token."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.register_user("amy@example.com", PASSPHRASE)
    token = service.auth.get_reset_password_token(EMAIL)
    sent = {"email": "amy@example.com", "reset_token": token, "new_password": NEW}
    answer = service.client().put("/reset_password", data=sent)
    assert (answer.status_code, answer.get_json()["code"]) == (403, "wrong_reset_token")


def test_a_reset_ends_all_sessions(service: Service) -> None:
    """And the owner is told by an email."""
    client = service.signed_in()
    service.auth.update_password(service.auth.get_reset_password_token(EMAIL), NEW)
    assert client.get("/profile").status_code == 401
    assert [message.kind for message in service.auth.mail.list()] == ["password_was_reset"]


def test_unknown_fields_are_refused(service: Service) -> None:
    """The exercise reads two fields and overlooks all others."""
    answer = service.client().post("/users", data=CREDENTIALS | {"admin": "1"})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "unknown_field")
    assert answer.get_json()["field"] == "admin"


#: Each difference by its name in the table of the docs.
DIFFERENCES: dict[str, Callable[..., None]] = {
    "session-id-is-the-generation": test_the_column_session_id_holds_the_generation_and_no_secret,
    "many-sessions": test_a_second_session_leaves_the_first_one_alive,
    "none-finds-no-user": test_none_finds_no_one,
    "password-policy": test_a_short_password_is_refused,
    "registered-201": test_registering_answers_201,
    "taken-409": test_a_taken_email_answers_409,
    "wrong-sign-in-problem": test_a_wrong_sign_in_is_a_problem_document,
    "sign-out-204": test_signing_out_answers_204_to_a_program,
    "sign-out-303": test_signing_out_redirects_a_browser_with_303,
    "sign-out-401": test_signing_out_without_a_session_answers_401,
    "profile-401": test_the_profile_of_no_one_answers_401,
    "profile-more": test_the_profile_says_more_than_the_email,
    "email-normalised": test_emails_are_normalised,
    "email-form": test_a_malformed_email_is_refused,
    "long-passwords": test_above_72_bytes_the_other_form_of_bcrypt_is_used,
    "destroy-all": test_destroy_session_ends_all_sessions,
    "reset-token-is-a-digest": test_the_column_reset_token_holds_a_digest,
    "reset-by-email": test_the_reset_token_goes_by_email_only,
    "reset-token-ends": test_a_reset_token_ends,
    "reset-names-its-email": test_a_reset_names_the_email_of_its_token,
    "reset-ends-sessions": test_a_reset_ends_all_sessions,
    "unknown-fields": test_unknown_fields_are_refused,
}


def test_every_difference_is_in_the_list() -> None:
    """The list names each test above once, so the table in docs can be held against it."""
    here = {name for name in globals() if name.startswith("test_")}
    listed = [test.__name__ for test in DIFFERENCES.values()]
    assert sorted(listed) == sorted(here - {"test_every_difference_is_in_the_list"})
