"""invitations: who may register, and what an invitation is good for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bienvenue import tokens
from bienvenue.authentication import CODE
from bienvenue.features.accounts import EmailTaken
from bienvenue.features.invitations import (
    NoSuchInvitation,
    RegistrationClosed,
    WrongInvitation,
)
from bienvenue.features.mail import MessageState
from bienvenue.normalize import MalformedEmail, MalformedText
from bienvenue.settings import SettingsProblem
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing, users
from tests.features.password_resets import dump, messages, outstanding
from tests.features.registrations import (
    SMTP,
    heard,
    invited,
    link_in,
    newest,
    register,
    registered,
    resend,
    verify,
)
from tests.races import race
from tests.web.browser import Browser

WEEK = 7 * 86400
MODES = ("open", "invited")


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service where registering takes an invitation."""
    return make_service(registration="invited")


# --- who may register ---------------------------------------------------------------------------


@pytest.mark.parametrize("smtp", [{}, SMTP], ids=["outbox", "smtp"])
def test_where_registration_is_closed_no_one_registers(
    make_service: MakeService, hash_costs: list[int], smtp: dict[str, str]
) -> None:
    """By any door of the web, before anything is hashed, and not with an invitation of before."""
    token = invited(make_service())
    waiting = registered(make_service(**SMTP), "amy@example.com")
    service = make_service(registration="closed", **smtp)
    hash_costs.clear()
    closed = (403, "registration_closed")
    assert heard(register(service)) == closed
    assert heard(register(service, invitation=token)) == closed
    assert heard(verify(service, waiting)) == closed
    assert heard(resend(service, "amy@example.com")) == closed
    for path in ("/users/new", "/email/verification", f"/users/new?token={token}"):
        answer = service.client().get(path, follow_redirects=True)
        assert heard(answer) == closed, path
    with pytest.raises(RegistrationClosed):
        service.auth.invitations.invite(CODE, "eve@example.com")
    assert (users(service.auth), hash_costs) == (0, [])
    page = Browser(service).get("/users/new")
    assert (page.status_code, "New accounts can't be created here" in page.text) == (403, True)
    assert 'action="/users"' not in page.text


def test_what_waited_is_forgotten_once_registration_is_not_open(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """The next sweep deletes it, so opening again brings nothing back."""
    opened = make_service(**SMTP)
    token = registered(opened)
    service = make_service(registration="invited", **SMTP)
    assert heard(verify(service, token)) == (403, "registration_closed")
    assert service.auth.sweep(moving_clock.now()) >= 1
    assert outstanding(service, "registration") == []
    assert messages(service, "registration")[0].state == MessageState.WITHDRAWN
    assert heard(verify(opened, token)) == (403, "wrong_verification_token")


def test_code_and_operators_add_accounts_whatever_the_mode(make_service: MakeService) -> None:
    """They are not visitors."""
    service = make_service(registration="closed")
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.accounts.add_without_password(CODE, "amy@example.com")
    assert users(service.auth) == 2
    assert service.signed_in().get("/profile").status_code == 200


def test_a_mode_that_is_none_is_refused(make_service: MakeService) -> None:
    """So is an invitation that works for longer than ninety days."""
    with pytest.raises(SettingsProblem, match="REGISTRATION"):
        make_service(registration="shut")
    with pytest.raises(SettingsProblem, match="INVITATION_LIFETIME"):
        make_service(invitation_lifetime="91d")


# --- an invitation ------------------------------------------------------------------------------


@pytest.mark.table
@pytest.mark.parametrize("smtp", [{}, SMTP], ids=["outbox", "smtp"])
@pytest.mark.parametrize("mode", MODES)
def test_an_invitation_makes_an_account_at_once(
    make_service: MakeService, mode: str, smtp: dict[str, str]
) -> None:
    """Its token came by email, so the email is verified."""
    service = make_service(registration=mode, **smtp)
    hearing = Hearing(service.auth)
    token = invited(service)
    answer = register(service, f" {EMAIL.title()}", invitation=token)
    assert (answer.status_code, answer.json) == (201, {"email": EMAIL, "message": "user created"})
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.export(user.id)["email_verified_at"] is not None
    assert hearing.only("account.registered").user_id == user.id
    assert (outstanding(service, "invitation"), outstanding(service, "registration")) == ([], [])
    (message,) = messages(service, "invitation")
    assert (message.user_id, message.encrypted_link) == (user.id, None)


def test_inviting_writes_an_email_and_keeps_a_digest(service: Service) -> None:
    """The row names whom and until when; the token stands in the email alone, sealed."""
    hearing = Hearing(service.auth)
    made = service.auth.invitations.invite(CODE, EMAIL.upper())
    (message,) = messages(service, "invitation")
    token = newest(service, "invitation")
    assert link_in(service, message) == f"http://localhost:5000/users/new?token={token}"
    assert (message.email, made.sent_to, made.expires_at) == (
        EMAIL,
        EMAIL,
        made.created_at + WEEK,
    )
    assert tokens.well_formed(token)
    assert token not in repr(dump(service))
    assert tokens.digest("invitation", token).hex() in repr(outstanding(service, "invitation"))
    event = hearing.only("invitation.sent")
    assert (event.user_id, set(event.facts)) == (None, {"message", "message_uid"})


def _none(_service: Service, _clock: Clock, _token: str) -> str:
    return ""


def _withdraw(service: Service, _clock: Clock, token: str) -> str:
    service.auth.invitations.withdraw(CODE, EMAIL)
    return token


def _use_and_delete(service: Service, _clock: Clock, token: str) -> str:
    assert register(service, invitation=token).status_code == 201
    service.auth.accounts.delete(CODE, EMAIL)
    return token


def _come_otherwise_and_go(service: Service, _clock: Clock, token: str) -> str:
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.accounts.delete(CODE, EMAIL)
    return token


def _of_another(service: Service, _clock: Clock, _token: str) -> str:
    return invited(service, "amy@example.com")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "happens",
    [
        _none,
        _withdraw,
        _use_and_delete,
        _come_otherwise_and_go,
        _of_another,
    ],
)
def test_an_invitation_that_opens_nothing(
    make_service: MakeService,
    moving_clock: Clock,
    hash_costs: list[int],
    mode: str,
    happens: Callable[[Service, Clock, str], str],
) -> None:
    """One refusal for all of them, before anything is hashed; without one, open is open."""
    service = make_service(registration=mode)
    token = happens(service, moving_clock, invited(service))
    before, more = users(service.auth), {"invitation": token} if token else {}
    hash_costs.clear()
    answer = register(service, **more)
    if mode == "open" and not token:
        assert answer.status_code == 201
        return
    assert heard(answer) == (403, "wrong_invitation")
    assert (users(service.auth), hash_costs) == (before, [])


def test_a_refused_password_leaves_the_invitation(service: Service) -> None:
    """Anyone who chose badly chooses again."""
    token = invited(service)
    refused = register(service, password="fourteen chars", invitation=token)
    assert heard(refused) == (422, "password_too_short")
    assert register(service, invitation=token).status_code == 201


def test_an_account_that_came_unheard_leaves_the_invitation(service: Service) -> None:
    """Taken is taken, which the reader of that mailbox may know; nothing is spent by it."""
    token = invited(service)
    user = service.auth._db.add_user(EMAIL, "!")
    assert heard(register(service, invitation=token)) == (409, "email_taken")
    assert len(outstanding(service, "invitation")) == 1
    assert service.auth.registration.verified_at(user.id) is None


def test_anyone_who_has_an_account_is_not_invited(service: Service) -> None:
    """The operator is told; no email is written."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    with pytest.raises(EmailTaken):
        service.auth.invitations.invite(CODE, EMAIL)
    with pytest.raises(MalformedEmail):
        service.auth.invitations.invite(CODE, "bob")
    assert service.auth.mail.list() == []


@pytest.mark.table
@pytest.mark.parametrize("by", ["uid", "email"])
def test_an_operator_withdraws_an_invitation(service: Service, by: str) -> None:
    """By its name or email; a second time there is none."""
    hearing = Hearing(service.auth)
    made = service.auth.invitations.invite(CODE, EMAIL)
    invited(service, "amy@example.com")
    name = made.uid.upper() if by == "uid" else f" {EMAIL.title()}"
    assert service.auth.invitations.withdraw(CODE, name).sent_to == EMAIL
    assert hearing.names.count("invitation.withdrawn") == 1
    assert messages(service, "invitation")[0].state == MessageState.WITHDRAWN
    with pytest.raises(NoSuchInvitation):
        service.auth.invitations.withdraw(CODE, name)
    with pytest.raises(MalformedText):
        service.auth.invitations.withdraw(CODE, "\ud800")
    assert len(service.auth.invitations.list()) == 1


def test_sweeping_forgets_what_is_over(service: Service, moving_clock: Clock) -> None:
    """So many at a time, and none that still works."""
    for name in ("amy", "eve"):
        invited(service, f"{name}@example.com")
    moving_clock.forward(WEEK - 1)
    token = invited(service)
    moving_clock.forward(1)
    now = moving_clock.now()
    assert [row.sent_to for row in service.auth.invitations.list()] == [EMAIL]
    assert [service.auth.one_time_tokens.sweep(now, 1) for _ in range(3)] == [1, 1, 0]
    assert register(service, invitation=token).status_code == 201


# --- at the same moment -------------------------------------------------------------------------


def test_twenty_who_all_hashed_already_and_one_wins(service: Service) -> None:
    """The statement that spends decides, not what was read before it."""
    token = invited(service)

    def spend(number: int) -> bool:
        try:
            service.auth.registration._register_invited(CODE, EMAIL, f"hash {number}", token)
        except WrongInvitation:
            return False
        return True

    assert race(spend, 20).count(True) == 1


def test_of_twenty_invitations_at_once_one_is_outstanding(service: Service) -> None:
    """And twenty operators hear no error."""
    made = race(lambda _: service.auth.invitations.invite(CODE, EMAIL).uid, 20)
    assert len(set(made)) == 20
    (kept,) = service.auth.invitations.list()
    assert kept.uid in made
