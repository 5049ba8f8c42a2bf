"""known_devices: a browser that signed in before, and what that is worth."""

from __future__ import annotations

import pytest

from bienvenue import clock
from bienvenue.authentication import CODE
from bienvenue.features.known_devices import MOST
from bienvenue.web.page import DEVICE_LIFETIME
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service

OTHER = "another passphrase, quite long"


def secret_of(service: Service) -> str:
    """Sign Bob in with a new browser and give the secret it is known by."""
    client = service.signed_in()
    cookie = client.get_cookie("device_id")
    assert cookie is not None
    return cookie.value


def test_signing_in_makes_a_browser_known_to_that_account(service: Service) -> None:
    """And to no other."""
    secret = secret_of(service)
    service.auth.register_user("amy@example.com", PASSPHRASE)
    assert service.auth.known_devices.knows(EMAIL, secret)
    assert not service.auth.known_devices.knows("amy@example.com", secret)
    assert not service.auth.known_devices.knows("nobody@example.com", secret)
    assert not service.auth.known_devices.knows(EMAIL, "x" * 43)
    assert not service.auth.known_devices.knows(EMAIL, None)


def test_the_cookie_is_hidden_from_scripts_and_stays_after_signing_out(service: Service) -> None:
    """It is no session: it opens nothing."""
    client = service.signed_in()
    client.delete("/sessions")
    cookie = client.get_cookie("device_id")
    assert cookie is not None
    assert (cookie.http_only, cookie.same_site, cookie.path) == (True, "Lax", "/")
    assert client.get("/profile").status_code == 401


def test_one_cookie_serves_all_accounts_of_a_browser(service: Service) -> None:
    """Two people at one computer are both known there."""
    client = service.signed_in()
    first = client.get_cookie("device_id")
    service.auth.register_user("amy@example.com", PASSPHRASE)
    client.post("/sessions", json={"email": "amy@example.com", "password": PASSPHRASE})
    second = client.get_cookie("device_id")
    assert first is not None
    assert second is not None
    assert first.value == second.value
    assert service.auth.known_devices.knows(EMAIL, second.value)
    assert service.auth.known_devices.knows("amy@example.com", second.value)


def test_a_new_password_forgets_every_browser_but_the_one_it_was_changed_in(
    service: Service,
) -> None:
    """Anyone who was in before is an unknown device now."""
    other = secret_of(service)
    mine = service.signed_in()
    change = {"old_password": PASSPHRASE, "new_password": OTHER}
    assert mine.put("/password", json=change).status_code == 200
    cookie = mine.get_cookie("device_id")
    assert cookie is not None
    assert service.auth.known_devices.knows(EMAIL, cookie.value)
    assert not service.auth.known_devices.knows(EMAIL, other)


def test_deleting_an_account_forgets_its_browsers(service: Service) -> None:
    """Nothing of it stays, and the next account of that email starts without."""
    secret = secret_of(service)
    service.auth.accounts.delete(CODE, EMAIL)
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert not service.auth.known_devices.knows(EMAIL, secret)


def test_the_browser_unused_for_longest_is_forgotten(service: Service, moving_clock: Clock) -> None:
    """A hundred are known to an account."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    secrets = []
    for _ in range(MOST + 2):
        secrets.append(service.auth.known_devices.remember(user.id, None)[0])
        moving_clock.forward(1)
    known = [service.auth.known_devices.knows(EMAIL, secret) for secret in secrets]
    assert known == [False] * 2 + [True] * MOST
    assert service.auth.known_devices.remember(user.id, secrets[-1]) == (secrets[-1], False)


def test_a_browser_is_forgotten_with_its_cookie(service: Service, moving_clock: Clock) -> None:
    """After 400 days; the sweep makes room."""
    secret = secret_of(service)
    moving_clock.forward(DEVICE_LIFETIME)
    assert not service.auth.known_devices.knows(EMAIL, secret)
    assert service.auth.known_devices.sweep(clock.now(), 10) == 1
    assert service.auth.known_devices.sweep(clock.now(), 10) == 0


@pytest.mark.usefixtures("moving_clock")
def test_a_person_can_see_when_each_browser_was_there(service: Service) -> None:
    """And nothing by which it could be copied."""
    secret_of(service)
    user = service.auth.accounts.find(EMAIL)
    (device,) = service.auth.export(user.id)["known_devices"]
    assert device == {
        "first_seen_at": clock.written(clock.now()),
        "last_seen_at": clock.written(clock.now()),
    }
