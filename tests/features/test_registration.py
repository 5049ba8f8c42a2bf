"""registration: registering where emails are sent, who gets which email, and what is kept."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bienvenue import clock, tokens
from bienvenue.authentication import CODE
from bienvenue.cli import main
from bienvenue.features.mail import MessageState
from bienvenue.features.registration import PendingRegistration, WrongVerificationToken
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.audits import only
from tests.features.hearing import Hearing, users
from tests.features.password_resets import (
    IP,
    answered,
    asked,
    dump,
    messages,
    outstanding,
    put,
    statements,
)
from tests.features.registrations import (
    OTHER,
    SMTP,
    heard,
    link_in,
    newest,
    register,
    registered,
    resend,
    token_in,
    verify,
)

TAKEN, DISABLED = "taken@example.com", "disabled@example.com"
HOUR, DAY = 3600, 86400


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that sends emails, with an account and a disabled one."""
    made = make_service(**SMTP)
    made.auth.register_user(TAKEN, PASSPHRASE)
    made.auth.register_user(DISABLED, PASSPHRASE)
    made.auth.accounts.disable(CODE, DISABLED)
    return made


# --- no one learns who has an account -----------------------------------------------------------


@pytest.mark.table(shown=4)
@pytest.mark.parametrize(
    "asking",
    [
        (path, medium)
        for path in ("/users", "/email/verification/resend")
        for medium in ("application/json", "text/html")
    ],
)
@pytest.mark.parametrize("whose", [TAKEN, DISABLED, "pending@example.com"])
def test_every_email_is_answered_as_one_that_is_free(
    service: Service,
    moving_clock: Clock,
    hash_costs: list[int],
    asking: tuple[str, str],
    whose: str,
) -> None:
    """Status, headers, words, hashes and statements are the same."""
    path, medium = asking
    if whose.startswith("pending"):
        registered(service, whose)
        moving_clock.forward(121)
    told = []
    for email in ("nobody@example.com", whose):
        client = service.client()
        client.get("/users/new", headers={"Accept": medium})
        sent = {"email": email} | ({"password": OTHER} if path == "/users" else {})
        hash_costs.clear()
        with statements(service) as said:
            answer = client.post(path, json=sent, headers={"Accept": medium})
        assert answer.status_code == (303 if medium == "text/html" else 202)
        told.append((*answered(client, answer, email), said, list(hash_costs)))
    assert told[0] == told[1]
    assert told[0][-1] == ([4] if path == "/users" else [])


def test_until_verified_signing_in_answers_as_for_no_one(
    service: Service, hash_costs: list[int]
) -> None:
    """The words, the headers and the hash."""
    registered(service)
    told = []
    for email in (EMAIL, "nobody@example.com"):
        hash_costs.clear()
        answer = service.client().post("/sessions", json={"email": email, "password": PASSPHRASE})
        headers = [header for header in answer.headers if header[0] != "X-Request-Id"]
        told.append((answer.status_code, answer.text, headers, list(hash_costs)))
    assert told[0] == told[1]
    assert told[0][0] == 401


def test_the_owner_of_a_taken_email_is_written_to(service: Service) -> None:
    """That someone tried, with the way to get back in and no secret; nothing changed."""
    before = dump(service)["users"]
    hearing = Hearing(service.auth)
    assert register(service, TAKEN.upper(), OTHER).json == {
        "email": TAKEN.upper(),
        "message": "check your email",
    }
    (message,) = messages(service, "already_registered")
    assert messages(service, "registration") == []
    assert link_in(service, message) == "http://localhost:5000/reset_password"
    user = service.auth.accounts.find(TAKEN)
    assert (message.email, message.user_id, message.state) == (TAKEN, user.id, MessageState.WAITING)
    assert (dump(service)["users"], outstanding(service, "registration")) == (before, [])
    event = hearing.only("registration.requested")
    assert (event.user_id, event.caller.ip) == (user.id, IP)
    assert event.facts == {"message": "already_registered", "message_uid": message.uid}
    (told,) = [one for one in service.auth.audit.list(user.id) if one.name == event.name]
    assert (
        told.sentence == "Someone tried to create an account with your email. Nothing was changed."
    )


def test_a_disabled_account_gets_no_email(service: Service) -> None:
    """Neither for registering nor for another email; the audit log names no one."""
    hearing = Hearing(service.auth)
    assert register(service, DISABLED).status_code == 202
    assert service.auth.mail.list() == []
    assert hearing.only("registration.requested").user_id is None
    assert outstanding(service, "registration") == []


def test_an_attacker_who_asks_again_has_no_email_written(service: Service) -> None:
    """No one registered: no one is written to, and no table has the email."""
    assert resend(service, "nobody@example.com").status_code == 202
    assert service.auth.mail.list() == []
    assert "nobody@example.com" not in repr(dump(service))
    assert only(service.auth, "registration.requested").personal["ip"] == IP


def test_the_owner_of_a_taken_email_who_asks_again_is_written_to(
    service: Service, moving_clock: Clock
) -> None:
    """The page of registering has the button for everybody."""
    register(service, TAKEN)
    moving_clock.forward(120)
    resend(service, TAKEN)
    assert len(messages(service, "already_registered")) == 2


# --- a registration -----------------------------------------------------------------------------


def test_registering_writes_an_email_and_makes_no_account(service: Service) -> None:
    """What waits has the email, the hash, the digest of the token, and two times."""
    accounts = users(service.auth)
    answer = register(service, EMAIL.title())
    assert (answer.status_code, answer.json) == (
        202,
        {"email": EMAIL.title(), "message": "check your email"},
    )
    (message,) = messages(service, "registration")
    assert (message.email, message.state, message.user_id) == (EMAIL, MessageState.WAITING, None)
    token = newest(service)
    assert link_in(service, message) == f"http://localhost:5000/email/verification?token={token}"
    assert tokens.well_formed(token)
    (row,) = outstanding(service, "registration")
    assert tokens.digest("proof", token).hex() in row
    assert token not in repr(dump(service))
    assert PASSPHRASE not in repr(dump(service))
    assert IP not in row
    assert users(service.auth) == accounts


def test_verifying_makes_the_account_and_signs_no_one_in(service: Service) -> None:
    """In one transaction: the account, its verified email, and the end of the registration."""
    hearing = Hearing(service.auth)
    answer = verify(service, registered(service), email=f" {EMAIL.upper()}")
    assert (answer.status_code, answer.json) == (201, {"email": EMAIL, "message": "user created"})
    assert "session_id" not in answer.headers.get("Set-Cookie", "")
    user = service.auth.accounts.find(EMAIL)
    assert hearing.names.count("account.registered") == 1
    assert hearing.only("email.verified").user_id == user.id
    assert "session.opened" not in hearing.names
    assert outstanding(service, "registration") == []
    assert service.auth.valid_login(EMAIL, PASSPHRASE)
    exported = service.auth.export(user.id)
    assert exported["email_verified_at"] is not None
    # The email is the account's now, without its link, and is deleted with it.
    assert [told["to"] for told in exported["emails"]] == [EMAIL]
    assert messages(service, "registration")[0].encrypted_link is None
    service.auth.accounts.delete(CODE, EMAIL)
    assert EMAIL not in repr(dump(service))


def test_a_page_of_its_own_says_since_when_the_email_is_verified(
    service: Service, moving_clock: Clock
) -> None:
    """Of an account made by an operator too, which verified nothing."""
    verify(service, registered(service))
    shown = service.signed_in().get("/email/verified").json
    assert shown == {"email": EMAIL, "verified_at": clock.written(moving_clock.now())}
    assert service.signed_in(TAKEN).get("/email/verified").json == {
        "email": TAKEN,
        "verified_at": None,
    }
    assert service.client().get("/email/verified").status_code == 401


def test_a_verification_is_of_one_email(service: Service, moving_clock: Clock) -> None:
    """Another email of the account is not verified by it; a reset by email verifies that one."""
    verify(service, registered(service))
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.registration.verified_at(user.id) == moving_clock.now()
    service.auth._db.update_user(user.id, email="robert@example.com")
    assert service.auth.registration.verified_at(user.id) is None
    moving_clock.forward(60)
    put(service, asked(service, "robert@example.com"), email="robert@example.com")
    assert service.auth.registration.verified_at(user.id) == moving_clock.now()


def test_a_reset_by_email_proves_the_email_once(service: Service, moving_clock: Clock) -> None:
    """What is verified already stays as it was, and nothing is said of it."""
    hearing = Hearing(service.auth)
    user = service.auth.accounts.find(TAKEN)
    for _ in range(2):
        put(service, asked(service, TAKEN), email=TAKEN)
        moving_clock.forward(120)
    assert service.auth.registration.verified_at(user.id) == moving_clock.now() - 240
    assert hearing.names.count("email.verified") == 1


def test_code_and_operators_make_accounts_at_once(service: Service) -> None:
    """Whether emails are sent or not; their email is not verified."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    assert service.auth.export(user.id)["email_verified_at"] is None
    environ = {
        "BIENVENUE_DATABASE_URL": service.url,
        "BIENVENUE_SMTP_HOST": SMTP["smtp_host"],
        "BIENVENUE_MAIL_FROM": SMTP["mail_from"],
        "BIENVENUE_REGISTRATION": "closed",
        "BIENVENUE_SECRET_KEY_FILE": str(service.auth.settings.core.secret_key_file),
        "BIENVENUE_BCRYPT_COST": "4",
    }
    done = CliRunner().invoke(
        main, ["users", "add", "--no-password", "amy@example.com"], env=environ
    )
    assert (done.exit_code, "amy@example.com" in done.output) == (0, True)
    assert outstanding(service, "registration") == []


def test_without_a_mail_server_the_account_is_made_at_once(make_service: MakeService) -> None:
    """201, and 409 when the email is taken, as in the exercise."""
    service = make_service()
    answer = register(service)
    assert (answer.status_code, answer.json) == (201, {"email": EMAIL, "message": "user created"})
    assert "Set-Cookie" not in answer.headers
    assert heard(register(service)) == (409, "email_taken")
    assert service.auth.mail.list() == []


# --- how many emails ---------------------------------------------------------------------------


def test_one_email_in_two_minutes_whatever_it_says(service: Service, moving_clock: Clock) -> None:
    """Sooner the answer is the same, and what was written before still works."""
    for email in (EMAIL, TAKEN):
        register(service, email)
        moving_clock.forward(60)
        assert register(service, email, OTHER).status_code == 202
        assert resend(service, email).status_code == 202
        moving_clock.forward(60)
    assert len(service.auth.mail.list()) == 2
    assert len(outstanding(service, "registration")) == 2
    assert verify(service, newest(service)).status_code == 201


def test_five_emails_in_an_hour(service: Service, moving_clock: Clock) -> None:
    """Then the hour since the first has to pass; all five links work until then."""
    made = []
    for number in range(7):
        register(service, password=f"{OTHER} {number}")
        made.append(len(messages(service, "registration")))
        moving_clock.forward(121)
    assert made == [1, 2, 3, 4, 5, 5, 5]
    for number, message in enumerate(messages(service, "registration")[:2]):
        assert message.state == MessageState.WAITING
        assert service.auth.registration.email_of(token_in(service, message)) == EMAIL, number
    moving_clock.forward(HOUR)
    registered(service)


def test_a_network_has_twenty_emails_an_hour(service: Service, moving_clock: Clock) -> None:
    """Those of getting back in counted too; then it hears so, whatever email is named."""
    for number in range(18):
        assert register(service, f"person{number}@example.com").status_code == 202
    asked(service, TAKEN)
    assert resend(service, "nobody@example.com").status_code == 202
    for answer in (register(service), resend(service), register(service, TAKEN)):
        assert heard(answer) == (429, "too_many_emails")
        assert answer.headers["Retry-After"] == "3600"
    assert register(service, ip="198.51.100.7").status_code == 202
    moving_clock.forward(HOUR)
    assert register(service, "late@example.com").status_code == 202


def test_code_asks_without_an_ip(service: Service) -> None:
    """No network is counted then."""
    made = service.auth.registration.register(CODE, EMAIL, PASSPHRASE)
    assert isinstance(made, PendingRegistration)
    assert dump(service)["email_requests"] != []
    assert verify(service, newest(service)).status_code == 201


# --- another email -----------------------------------------------------------------------------


def test_another_email_makes_the_link_before_useless(service: Service, moving_clock: Clock) -> None:
    """The password stays the one that was chosen, and the registration ends when it would have."""
    first = registered(service)
    moving_clock.forward(HOUR)
    resend(service)
    second = newest(service)
    assert [message.state for message in messages(service, "registration")] == [
        MessageState.WITHDRAWN,
        MessageState.WAITING,
    ]
    assert heard(verify(service, first)) == (403, "wrong_verification_token")
    moving_clock.forward(DAY - HOUR - 1)
    assert service.auth.registration.email_of(second) == EMAIL
    moving_clock.forward(1)
    with pytest.raises(WrongVerificationToken):
        service.auth.registration.email_of(second)


def test_another_email_is_of_the_newest_registration(service: Service, moving_clock: Clock) -> None:
    """The link of an earlier one works on, and opens with the password chosen then."""
    first = registered(service)
    moving_clock.forward(121)
    second = registered(service, password=OTHER)
    moving_clock.forward(121)
    resend(service)
    third = newest(service)
    assert heard(verify(service, second, OTHER)) == (403, "wrong_verification_token")
    assert service.auth.registration.email_of(third) == EMAIL
    assert verify(service, first).status_code == 201
    assert heard(verify(service, third, OTHER)) == (403, "wrong_verification_token")


def test_a_newer_registration_leaves_the_email_of_an_older_one(
    service: Service, moving_clock: Clock
) -> None:
    """An attacker who registers with my email does not take my email out of the outbox."""
    mine = registered(service)
    moving_clock.forward(121)
    registered(service, password=OTHER)
    assert [message.state for message in messages(service, "registration")] == [
        MessageState.WAITING
    ] * 2
    assert verify(service, mine).status_code == 201
