"""user_fields: how the values of other systems are read."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from bienvenue import clock, normalize, user_fields

UID = "961fc585-c633-4427-b88c-bec19cb8d22d"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (memoryview(b"$2b$"), "$2b$"),
        (b"$2b$", "$2b$"),
        (b"\xff", "\udcff"),
        (uuid.UUID(UID), UID),
        (Decimal("1.5"), 1.5),
        (7, 7),
        (None, None),
    ],
)
def test_values_of_every_driver_are_made_plain(value: object, expected: object) -> None:
    """Bytes that are no UTF-8 stay recognisable, so that the field refuses them."""
    assert user_fields.plain(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00:00",
        "2024-05-01 14:00:00+02",
        " 1714564800 ",
        1714564800,
        1714564800.0,
        datetime(2024, 5, 1, 12, tzinfo=UTC),
        datetime(2024, 5, 1, 12),  # noqa: DTZ001 (as databases give it)
    ],
)
def test_a_moment_is_read_however_it_is_written(value: object) -> None:
    """Without a zone it is UTC."""
    assert user_fields.moment(value) == 1714564800.0
    assert user_fields.written(user_fields.moment(value)) == "2024-05-01T12:00:00Z"


def test_a_day_is_a_moment_too() -> None:
    """Its first."""
    assert user_fields.moment(date(2024, 5, 1)) == 1714521600.0
    assert user_fields.moment_or_yes("2024-05-01") == 1714521600.0
    assert user_fields.moment_or_yes("yes") is True


def test_the_future_is_refused() -> None:
    """A clock that is fast by some hours is none."""
    assert user_fields.moment(clock.now() + 3600)
    with pytest.raises(ValueError, match="is not a time between 1970 and now"):
        user_fields.moment(clock.now() + 2 * 86400)


@pytest.mark.parametrize(
    "email",
    [
        "Bob@Example.COM",
        "  bob@example.com ",
        "b.o-b_1+x@example.com",
        "bob@m\u00fcnchen.de",
        "b!ob@example.com",
        "x" * 64 + "@example.com",
        "x" * 64 + "@" + "y" * 60 + "." + "z" * 60 + "." + "w" * 60 + ".de",
    ],
)
def test_an_email_is_read_as_everywhere_else(email: str) -> None:
    """The way that looks at a domain once gives what the long way gives."""
    assert user_fields.email(email) == normalize.email(email)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "bob",
        "@example.com",
        "bob@",
        ".bob@example.com",
        "bob.@example.com",
        "b..ob@example.com",
        "bob@localhost",
        "bob@example..com",
        "a@b@example.com",
        "bob@[127.0.0.1]",
        "x" * 65 + "@example.com",
        "bob\n@example.com",
        "bob@exa mple.com",
    ],
)
def test_what_is_no_email_elsewhere_is_none_here(email: str) -> None:
    """Either way says so."""
    with pytest.raises(normalize.MalformedEmail):
        normalize.email(email)
    with pytest.raises(ValueError, match="is not an email"):
        user_fields.email(email)
