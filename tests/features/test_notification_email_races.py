"""notification_email at the same moment: one email, one winner, and nothing between two states."""

from __future__ import annotations

import pytest

from tests.conftest import Service
from tests.features.closures import token_of
from tests.features.notification_emails import SECOND, VERIFICATION, asked, name, told, verify
from tests.features.password_resets import dump
from tests.races import race

pytestmark = [pytest.mark.usefixtures("bob"), pytest.mark.statements]


def test_twenty_ask_at_once_and_one_email_is_written(service: Service) -> None:
    """All hear the same; the one link works."""
    client = service.signed_in()
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    value = cookie.value

    def act(_number: int) -> int:
        mine = service.client()
        mine.set_cookie("session_id", value)
        return name(mine).status_code

    assert set(race(act, 20)) <= {202, 429}
    assert told(service, VERIFICATION) == [SECOND]
    assert verify(service, token_of(service, VERIFICATION)).status_code == 200


def test_of_verifying_and_removing_at_once_none_half_happens(service: Service) -> None:
    """Verified and then removed, or removed before it was verified: nothing is left either way."""
    client = service.signed_in()
    token = asked(service, client)

    def act(number: int) -> int:
        if number:
            return verify(service, token).status_code
        return client.delete("/notification_email").status_code

    removed, verifying = race(act, 2)
    assert (removed, verifying in {200, 403}) == (204, True)
    assert dump(service)["notification_emails"] == []
