"""The limits of emails: what they count, what the audit log says, what a closed account gets."""

from __future__ import annotations

import pytest
from werkzeug.test import TestResponse

from bienvenue.authentication import CODE
from bienvenue.features.mail import Message
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.password_resets import messages, text_of
from tests.features.registrations import SMTP

HOUR = 3600.0


def ask(service: Service, email: str = EMAIL, ip: str = "192.0.2.1") -> TestResponse:
    """Ask for a reset from an ip."""
    return service.client().post(
        "/reset_password", json={"email": email}, environ_overrides={"REMOTE_ADDR": ip}
    )


def reached(service: Service) -> list[tuple[int | None, str, int]]:
    """Give whose rows of the audit log say that a limit was reached, which, and how often."""
    return [
        (row.user_id, row.facts.get("policy", row.personal.get("policy", "")), row.times)
        for row in service.auth.audit.list()
        if row.name == "email_limit.reached"
    ]


def test_an_email_that_is_not_sent_is_in_the_audit_log(
    service: Service, moving_clock: Clock
) -> None:
    """One row a minute, in the activity of the owner, who would otherwise see nothing."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    for _ in range(4):
        assert ask(service).status_code == 202
    assert reached(service) == [(user.id, "email password_reset", 3)]
    assert ask(service, "nobody@example.com").status_code == 202
    moving_clock.forward(60)
    assert ask(service, "nobody@example.com").status_code == 202
    assert reached(service)[0] == (None, "email password_reset", 1)


@pytest.mark.usefixtures("moving_clock")
def test_a_network_that_asks_too_much_is_in_the_audit_log(make_service: MakeService) -> None:
    """The row is committed, though the request is refused."""
    service = make_service(emails_network=2)
    heard = [ask(service, f"amy{number}@example.com").status_code for number in range(5)]
    assert heard == [202] * 2 + [429] * 3
    assert reached(service) == [(None, "network password_reset", 3)]


@pytest.mark.usefixtures("moving_clock")
def test_an_account_that_asks_too_much_is_in_the_audit_log(service: Service) -> None:
    """Its emails an hour are its own, whatever network it asks from."""
    client = service.signed_in()
    for number in range(12):
        sent = {"new_email": f"amy{number}@example.com"}
        client.put("/email", json=sent, environ_overrides={"REMOTE_ADDR": f"192.0.2.{number}"})
    assert [policy for _, policy, _ in reached(service)] == ["account email_change"]


@pytest.mark.usefixtures("moving_clock")
def test_requests_without_an_ip_are_one_network(make_service: MakeService) -> None:
    """Code of this process is none."""
    service = make_service(emails_network=3)
    heard = [ask(service, f"amy{number}@example.com", ip="").status_code for number in range(5)]
    assert heard == [202] * 3 + [429] * 2
    for number in range(5):
        service.auth.password_reset.request(CODE, f"bob{number}@example.com")


@pytest.mark.usefixtures("moving_clock")
def test_wider_networks_and_the_service_have_larger_limits(make_service: MakeService) -> None:
    """A /56 four times, a /48 sixteen times; all visitors together have one too."""
    service = make_service(emails_network=1, emails_service=18)

    def granted(ip: str) -> int:
        for number in range(1, 40):
            email = f"amy{ip.format(0).replace(':', '-')}{number}@example.com"
            if ask(service, email, ip.format(number)).status_code == 429:
                return number - 1
        return 40

    assert granted("2001:db8:1:{:x}::7") == 4
    assert granted("2001:db8:1:{:x}00::7") == 12
    assert granted("2001:db8:{:x}0::7") == 2


def test_a_class_of_thirty_registers_from_one_ip(make_service: MakeService) -> None:
    """As the service comes."""
    service = make_service(**SMTP, emails_network=None)
    for number in range(30):
        account = {"email": f"learner{number}@example.com", "password": PASSPHRASE}
        assert service.client().post("/users", json=account).status_code == 202


def test_a_clock_that_is_set_back_silences_no_one(service: Service, moving_clock: Clock) -> None:
    """A count that lies ahead was written by a wrong clock."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    for _ in range(5):
        ask(service)
        moving_clock.forward(121)
    assert len(messages(service)) == 5
    moving_clock.forward(-24 * HOUR)
    ask(service)
    assert len(messages(service)) == 6


@pytest.mark.parametrize("path", ["/reset_password", "/users", "/email/verification/resend"])
def test_the_owner_of_a_closed_account_is_written_to(
    make_service: MakeService, moving_clock: Clock, path: str
) -> None:
    """Every way in that says "check your email" sends the link that reopens the account."""
    service = make_service(**SMTP)
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.account_closure.close_for(CODE, EMAIL)
    (first,) = messages(service, "account_closed")
    assert first.expires_at is not None
    moving_clock.forward(24 * HOUR)
    sent = {"email": EMAIL} | ({"password": PASSPHRASE} if path == "/users" else {})
    assert service.client().post(path, json=sent).status_code == 202
    (again,) = messages(service, "account_still_closed")
    assert (again.email, again.expires_at) == (EMAIL, first.expires_at)

    def token(message: Message) -> str:
        text = text_of(service, message)
        return next(line for line in text.splitlines() if "token=" in line).partition("token=")[2]

    reopening = token(again)
    assert "[link removed]" in text_of(service, messages(service, "account_closed")[0])
    assert service.auth.account_closure.reopen(CODE, reopening) == EMAIL
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_a_disabled_account_is_not_written_to(make_service: MakeService) -> None:
    """An administrator closed it for good."""
    service = make_service(**SMTP)
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.accounts.disable(CODE, EMAIL)
    assert ask(service).status_code == 202
    assert service.auth.mail.list() == []


@pytest.mark.parametrize(
    ("settings", "reply_to"),
    [
        ({}, None),
        ({"support_email": "help@example.org"}, "help@example.org"),
        (
            {"support_email": "help@example.org", "mail_reply_to": "Desk <desk@example.org>"},
            "Desk <desk@example.org>",
        ),
    ],
)
def test_answers_go_where_they_are_read(
    make_service: MakeService, settings: dict[str, str], reply_to: str | None
) -> None:
    """By default to the support email."""
    service = make_service(**settings)
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.password_reset.request(CODE, EMAIL)
    (row,) = service.auth.mail.list()
    assert service.auth.mail.read(row.uid)["Reply-To"] == reply_to
