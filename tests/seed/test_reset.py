"""auth.py and app.py: the steps of the reset token; only the course gives it to anyone who asks."""

from __future__ import annotations

import re
import uuid

import pytest
from flask.testing import FlaskClient

from tests.seed.half import Half

BOB = "bob@example.com"
NEW = "dix grenouilles au soleil"


def registered(half: Half) -> FlaskClient:
    """Return a client of an app in which Bob has registered."""
    client = half.client()
    client.post("/users", data={"email": BOB, "password": half.good_password})
    return client


def test_get_reset_password_token(half: Half) -> None:
    """Generate a token, keep it as the user's reset_token and return it; the next one is another.

    Tokens look as session ids do in either half, and are stored where those are.
    """
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    reset_token = auth.get_reset_password_token(email=BOB)
    assert re.fullmatch(half.session_id, reset_token)
    stored = auth._db.find_user_by(email=BOB).reset_token
    assert stored is not None
    assert (stored == reset_token) == half.session_id_is_stored
    assert auth.get_reset_password_token(BOB) != reset_token
    with pytest.raises(ValueError, match="reset token"):
        auth.update_password(reset_token, NEW)


def test_get_reset_password_token_of_an_unknown_email(half: Half) -> None:
    """If the user does not exist, raise a ValueError."""
    with pytest.raises(ValueError, match=r"User unknown@example\.com does not exist"):
        half.Auth().get_reset_password_token("unknown@example.com")
    with pytest.raises(ValueError, match="User bob does not exist"):
        half.Auth().get_reset_password_token("bob")


def test_update_password(half: Half) -> None:
    """Hash the new password, update the user's hashed_password, set the reset_token to None."""
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    reset_token = auth.get_reset_password_token(BOB)
    assert auth.update_password(reset_token=reset_token, password=NEW) is None
    assert auth._db.find_user_by(email=BOB).reset_token is None
    assert auth.valid_login(BOB, NEW)
    assert not auth.valid_login(BOB, half.good_password)


def test_update_password_with_an_unknown_or_spent_token(half: Half) -> None:
    """If no one has this token, or no longer, raise a ValueError."""
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    reset_token = auth.get_reset_password_token(BOB)
    with pytest.raises(ValueError, match="reset token"):
        auth.update_password(str(uuid.uuid4()), NEW)
    auth.update_password(reset_token, NEW)
    with pytest.raises(ValueError, match="reset token"):
        auth.update_password(reset_token, "onze grenouilles")
    assert auth.valid_login(BOB, NEW)


def test_post_reset_password(course: Half) -> None:
    """POST /reset_password answers with the email and the token."""
    answer = registered(course).post("/reset_password", data={"email": BOB})
    assert answer.status_code == 200
    body = answer.get_json()
    assert body == {"email": BOB, "reset_token": str(uuid.UUID(body["reset_token"]))}


def test_post_reset_password_of_an_unknown_email(course: Half) -> None:
    """POST /reset_password answers 403 if the email is not registered."""
    answer = registered(course).post("/reset_password", data={"email": "unknown@example.com"})
    assert answer.status_code == 403


def test_put_reset_password(course: Half) -> None:
    """PUT /reset_password sets the new password once, and answers 403 to a spent token."""
    client = registered(course)
    token = client.post("/reset_password", data={"email": BOB}).get_json()["reset_token"]
    fields = {"email": BOB, "reset_token": token, "new_password": NEW}
    answer = client.put("/reset_password", data=fields)
    assert answer.status_code == 200
    assert answer.get_json() == {"email": BOB, "message": "Password updated"}
    assert client.post("/sessions", data={"email": BOB, "password": NEW}).status_code == 200
    old = {"email": BOB, "password": course.good_password}
    assert client.post("/sessions", data=old).status_code == 401
    assert client.put("/reset_password", data=fields).status_code == 403


def test_put_reset_password_with_a_wrong_token(half: Half) -> None:
    """PUT /reset_password answers 403 to a token that no one has, and changes nothing."""
    client = registered(half)
    fields = {"email": BOB, "reset_token": str(uuid.uuid4()), "new_password": NEW}
    assert client.put("/reset_password", data=fields).status_code == 403
    assert client.post("/sessions", data={"email": BOB, "password": NEW}).status_code == 401
