"""Tokens: each is made for one purpose, and is unknown at every other door."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import permutations

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.emailing import THIRD, asked, change, prove, undo
from tests.features.resetting import NEW, dump, letters, put, text_of
from tests.features.resetting import asked as reset_asked

MOVED = "moved@example.org"


def _session(_service: Service, client: FlaskClient) -> str:
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    return cookie.value


def _device(_service: Service, client: FlaskClient) -> str:
    cookie = client.get_cookie("device_id")
    assert cookie is not None
    return cookie.value


def _reset(service: Service, _client: FlaskClient) -> str:
    return reset_asked(service, MOVED)


def _email(service: Service, client: FlaskClient) -> str:
    return asked(service, client, THIRD)


def _undo(service: Service, client: FlaskClient) -> str:
    # A second change on top of Bob's first, so that every token is alive at once.
    return change(service, client, MOVED)


#: Who makes a token of a purpose, in an order in which none ends another.
MAKERS: dict[str, Callable[[Service, FlaskClient], str]] = {
    "undo": _undo,
    "session": _session,
    "device": _device,
    "reset": _reset,
    "email": _email,
}

#: Where a token of a purpose is spent.
DOORS: dict[str, Callable[[Service, FlaskClient, str], TestResponse]] = {
    "undo": lambda service, _, token: undo(service, token),
    "reset": lambda service, _, token: put(service, token, NEW, MOVED),
    "email": lambda _, client, token: prove(client, token),
}

#: Where a browser that keeps a token in the cookie of another purpose goes with it.
PAGES = {"undo": "/email/undo", "reset": "/reset_password/new", "email": "/email/new"}


def test_a_token_opens_the_door_of_its_purpose_and_no_other(service: Service) -> None:
    """Sent as a field and kept in a cookie; whatever is refused changes nothing."""
    client = service.signed_in()
    made = {purpose: make(service, client) for purpose, make in MAKERS.items()}
    assert len(set(made.values())) == len(MAKERS)
    before = dump(service)
    for purpose, door in permutations(MAKERS, 2):
        if door in DOORS:
            refused = DOORS[door](service, client, made[purpose])
            assert refused.get_json()["code"] == f"wrong_{door}_token", (purpose, door)
            client.set_cookie(f"{door}_token", made[purpose])
            assert client.get(PAGES[door]).status_code == 403, (purpose, door)
            client.delete_cookie(f"{door}_token")
        if door == "session":
            stranger = service.client()
            stranger.set_cookie("session_id", made[purpose])
            assert stranger.get("/profile").status_code == 401, purpose
        if door == "device":
            assert not service.auth.devices.knows(MOVED, made[purpose])
    assert dump(service) == before
    for door in ("email", "reset", "undo"):
        opened = DOORS[door](service, client, made[door])
        # The email changed, and with it the token of a reset is over.
        assert opened.status_code == (403 if door == "reset" else 200), door
    assert service.auth.accounts.find(EMAIL)


@pytest.mark.parametrize("door", sorted(DOORS))
def test_a_door_opens_to_its_own_token(service: Service, door: str) -> None:
    """So none of the refusals above was for another reason."""
    client = service.signed_in()
    change(service, client, MOVED)
    token = change(service, client, "again@example.org") if door == "undo" else None
    token = token or MAKERS[door](service, client)
    assert DOORS[door](service, client, token).status_code == 200


SMTP = {"smtp_host": "127.0.0.1", "smtp_port": 9, "mail_from": "us@example.org"}
SECOND, NEWCOMER, GUEST, LEAVER = (
    f"{name}@example.net" for name in ("second", "newcomer", "guest", "leaver")
)


def _client(service: Service, email: str) -> FlaskClient:
    service.auth.register_user(email, PASSPHRASE)
    client = service.client()
    client.post("/sessions", json={"email": email, "password": PASSPHRASE})
    return client


def _newest(service: Service, kind: str) -> str:
    (link,) = re.findall(r"token=(\S{43})\b", text_of(service, letters(service, kind)[-1]))
    return str(link)


def test_a_letter_to_somebody_else_opens_nothing_of_mine(make_service: MakeService) -> None:
    """Proving an email, an invitation, a second email and keeping an account are four purposes."""
    service = make_service(**SMTP)
    client = _client(service, EMAIL)
    service.client().post("/users", json={"email": NEWCOMER, "password": PASSPHRASE})
    service.auth.invitations.invite(GUEST)
    client.put("/second_email", json={"second_email": SECOND})
    assert _client(service, LEAVER).delete("/profile").status_code == 202
    kinds = {
        "proof": "proof",
        "invitation": "invitation",
        "second": "second_email_proof",
        "leaving": "account_closing",
    }
    made = {purpose: _newest(service, kind) for purpose, kind in kinds.items()}
    guest = {"email": GUEST, "password": PASSPHRASE}
    doors: dict[str, tuple[str, dict[str, str]]] = {
        "proof": ("/email/proof", {"password": PASSPHRASE}),
        "invitation": ("/users", guest),
        "second": ("/second_email/proof", {}),
        "leaving": ("/leaving/undo", {}),
    }

    def tried(door: str, token: str) -> int:
        path, form = doors[door]
        name = "invitation" if door == "invitation" else f"{door}_token"
        return service.client().post(path, json=form | {name: token}).status_code

    before = dump(service)
    assert [tried(door, made[purpose]) for purpose, door in permutations(doors, 2)] == [403] * 12
    assert dump(service) == before
    assert [tried(door, made[door]) for door in doors] == [201, 201, 200, 200]
