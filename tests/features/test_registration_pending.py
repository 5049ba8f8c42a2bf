"""registration: what is stored while it is pending, how long, and what operators can do."""

from __future__ import annotations

import json
import logging

import pytest
from click.testing import CliRunner

from bienvenue import clock
from bienvenue.authentication import CODE
from bienvenue.cli import main
from bienvenue.features.mail import MessageState
from bienvenue.features.registration.pages import Verification
from bienvenue.web.page import Visitor
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing
from tests.features.password_resets import messages, outstanding, text_of
from tests.features.registrations import (
    OTHER,
    SMTP,
    heard,
    registered,
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


# --- what is kept -------------------------------------------------------------------------------


def test_sweeping_forgets_what_is_over(service: Service, moving_clock: Clock) -> None:
    """So many at a time, and none that still works."""
    for name in ("amy", "eve"):
        registered(service, f"{name}@example.com")
    moving_clock.forward(DAY - 1)
    token = registered(service)
    moving_clock.forward(1)
    now = moving_clock.now()
    assert [service.auth.one_time_tokens.sweep(now, 1) for _ in range(3)] == [1, 1, 0]
    assert len(outstanding(service, "registration")) == 1
    assert verify(service, token).status_code == 201


def test_no_log_and_no_repr_shows_the_token(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither on its way nor where it was refused."""
    caplog.set_level(logging.DEBUG)
    token = registered(service)
    service.client().get(f"/email/verification?token={token}")
    verify(service, token, "wrong")
    verify(service, token)
    refused = verify(service, token)
    passed = [
        Verification(password=PASSPHRASE, verification_token=token),
        Visitor(None, None, {"proof": token}),
        messages(service, "registration"),
        service.auth.audit.list(None),
    ]
    assert token not in f"{caplog.text}{passed!r}{refused.text}"
    assert PASSPHRASE not in f"{caplog.text}{passed!r}"
    assert token not in json.dumps(service.auth.export(service.auth.accounts.find(EMAIL).id))


def test_the_email_is_written_in_the_language_of_who_registers(service: Service) -> None:
    """There is no account that chose one."""
    service.client().post(
        "/users",
        json={"email": EMAIL, "password": PASSPHRASE},
        headers={"Accept-Language": "fr-CA, en;q=0.5"},
    )
    (mail,) = messages(service, "registration")
    message = service.auth.mail.read(mail.uid)
    assert message["Subject"] == "Vérifiez votre adresse e-mail pour Bienvenue"
    assert "ouvrez ce lien pour terminer" in text_of(service, mail)


# --- for the operator ---------------------------------------------------------------------------


def test_an_operator_lists_and_withdraws_registrations(
    service: Service, moving_clock: Clock
) -> None:
    """All of one email die, with their links; another's wait on."""
    hearing = Hearing(service.auth)
    first = registered(service)
    moving_clock.forward(121)
    registered(service, password=OTHER)
    token = registered(service, "amy@example.com")
    assert [email for email, _, _ in service.auth.registration.list()].count(EMAIL) == 2
    assert service.auth.registration.withdraw(CODE, EMAIL.upper()) == 2
    assert hearing.names.count("registration.withdrawn") == 1
    assert heard(verify(service, first)) == (403, "wrong_verification_token")
    assert [row[0] for row in service.auth.registration.list()] == ["amy@example.com"]
    assert [one.state for one in messages(service, "registration") if one.email == EMAIL] == [
        MessageState.WITHDRAWN
    ] * 2
    assert verify(service, token).status_code == 201
    assert service.auth.registration.withdraw(CODE, EMAIL) == 0
    assert hearing.names.count("registration.withdrawn") == 1


def test_the_commands_speak_of_registrations(service: Service, moving_clock: Clock) -> None:
    """No token and no hash is printed."""
    environ = {
        "BIENVENUE_DATABASE_URL": service.url,
        "BIENVENUE_SECRET_KEY_FILE": str(service.auth.settings.core.secret_key_file),
    }
    run = CliRunner()
    registered(service)
    listed = run.invoke(main, ["registrations", "list"], env=environ)
    at = clock.written(moving_clock.now())
    until = clock.written(moving_clock.now() + DAY)
    assert listed.output == f"{at}  until {until}  {EMAIL}\n"
    gone = run.invoke(main, ["registrations", "withdraw", EMAIL], env=environ)
    assert gone.output == "withdrew 1 registrations\n"
    assert (
        run.invoke(main, ["registrations", "list"], env=environ).output
        == "no registrations are pending\n"
    )
