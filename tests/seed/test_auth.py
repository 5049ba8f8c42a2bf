"""auth.py: hash, register, check, and the life of a session."""

from __future__ import annotations

import ast
import inspect
import re
import uuid
from pathlib import Path

import bcrypt
import pytest

from tests.seed.half import Half

BOB = "bob@example.com"


def test_hash_password_returns_bytes(half: Half) -> None:
    """It takes in a password string argument and returns bytes."""
    assert isinstance(half.hash_password(half.good_password), bytes)


def test_hash_password_is_a_salted_hash_by_bcrypt(half: Half) -> None:
    """The returned bytes is a salted hash of the input password, hashed with bcrypt.hashpw."""
    one, other = half.hash_password(half.good_password), half.hash_password(half.good_password)
    assert one != other
    for hashed in (one, other):
        assert hashed.startswith(b"$2b$12$")
    assert bcrypt.checkpw(half.good_password.encode(), one)
    assert not bcrypt.checkpw(b"another password", other)


def test_register_user_returns_the_user(half: Half) -> None:
    """It should take mandatory email and password string arguments and return a User object."""
    user = half.Auth().register_user(email=BOB, password=half.good_password)
    assert isinstance(user, half.User)
    assert user.email == BOB


def test_register_user_hashes_the_password_and_saves_the_user(half: Half) -> None:
    """Hash the password with _hash_password, save the user to the database using self._db."""
    auth = half.Auth()
    user = auth.register_user(BOB, half.good_password)
    saved = auth._db.find_user_by(email=BOB)
    assert saved.id == user.id
    assert isinstance(saved.hashed_password, str)
    assert bcrypt.checkpw(half.good_password.encode(), saved.hashed_password.encode())


def test_register_user_refuses_a_taken_email(half: Half) -> None:
    """If a user already exist with the passed email, raise a ValueError with this message."""
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    with pytest.raises(ValueError, match="exists") as refusal:
        auth.register_user(BOB, half.good_password + " once more")
    assert str(refusal.value) == f"User {BOB} already exists"
    assert auth.valid_login(BOB, half.good_password)
    assert not auth.valid_login(BOB, half.good_password + " once more")


def test_valid_login_of_the_right_password(half: Half) -> None:
    """If it matches return True."""
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    assert auth.valid_login(email=BOB, password=half.good_password) is True


def test_valid_login_in_any_other_case(half: Half) -> None:
    """In any other case, return False."""
    auth = half.Auth()
    bob = auth.register_user(BOB, half.good_password)
    auth.register_user("eve@example.com", half.good_password + " of eve")
    assert auth.valid_login("unknown@example.com", half.good_password) is False
    assert auth.valid_login(BOB, half.good_password + " of eve") is False
    assert auth.valid_login(BOB, half.good_password[:-1]) is False
    assert auth.valid_login(BOB, half.good_password.upper()) is False
    assert auth.valid_login(BOB, half.good_password * 5) is False
    auth._db.update_user(bob.id, hashed_password="no hash at all")
    assert auth.valid_login(BOB, half.good_password) is False


def test_generate_uuid_is_a_string_of_a_new_uuid(half: Half) -> None:
    """The function should return a string representation of a new UUID."""
    made = [half.generate_uuid() for _ in range(100)]
    assert all(isinstance(each, str) and str(uuid.UUID(each)) == each for each in made)
    assert len(set(made)) == 100


def test_create_session_returns_the_session_id(half: Half) -> None:
    """It takes an email string argument and returns the session ID as a string."""
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    session_id = auth.create_session(email=BOB)
    assert isinstance(session_id, str)
    assert re.fullmatch(half.session_id, session_id)


def test_create_session_stores_a_uuid(half: Half) -> None:
    """Generate a new UUID and store it in the database as the user's session_id."""
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    session_id = auth.create_session(BOB)
    stored = auth._db.find_user_by(email=BOB).session_id
    assert str(uuid.UUID(stored)) == stored
    assert (stored == session_id) is half.session_id_is_stored


def test_create_session_is_new_every_time(half: Half) -> None:
    """Generate a new UUID."""
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    assert len({auth.create_session(BOB) for _ in range(5)}) == 5


def test_create_session_of_an_unknown_email(half: Half) -> None:
    """Find the user corresponding to the email: without one there is no session ID."""
    assert half.Auth().create_session("unknown@example.com") is None


def test_get_user_from_session_id(half: Half) -> None:
    """It takes a single session_id string argument and returns the corresponding User."""
    auth = half.Auth()
    bob = auth.register_user(BOB, half.good_password)
    eve = auth.register_user("eve@example.com", half.good_password)
    session_of_bob = auth.create_session(BOB)
    session_of_eve = auth.create_session("eve@example.com")
    found = auth.get_user_from_session_id(session_id=session_of_bob)
    assert isinstance(found, half.User)
    assert (found.id, found.email) == (bob.id, BOB)
    assert auth.get_user_from_session_id(session_of_eve).id == eve.id


def test_get_user_from_no_session_id(half: Half) -> None:
    """If the session ID is None or no user is found, return None."""
    auth = half.Auth()
    auth.register_user(BOB, half.good_password)
    assert auth.get_user_from_session_id(None) is None
    assert auth.get_user_from_session_id("") is None
    assert auth.get_user_from_session_id(str(uuid.uuid4())) is None


def test_destroy_session_ends_the_session(half: Half) -> None:
    """The user's session ID becomes None; it takes a user_id and returns None."""
    auth = half.Auth()
    bob = auth.register_user(BOB, half.good_password)
    auth.register_user("eve@example.com", half.good_password)
    session_of_bob = auth.create_session(BOB)
    session_of_eve = auth.create_session("eve@example.com")
    assert auth.destroy_session(user_id=bob.id) is None
    assert auth._db.find_user_by(id=bob.id).session_id is None
    assert auth.get_user_from_session_id(session_of_bob) is None
    assert auth.get_user_from_session_id(session_of_eve).email == "eve@example.com"


def test_only_public_methods_of_the_database_are_used(half: Half) -> None:
    """Remember that only public methods of self._db can be used."""
    auth = half.Auth()
    source = Path(inspect.unwrap(type(auth).create_session).__code__.co_filename)
    used = [
        node.attr
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "_db"
    ]
    assert used
    assert [name for name in used if name.startswith("_")] == []


def test_the_course_has_one_session_a_user(course: Half) -> None:
    """Store it as the user's session_id: the next one takes its place."""
    auth = course.Auth()
    auth.register_user(BOB, course.good_password)
    first, second = auth.create_session(BOB), auth.create_session(BOB)
    assert auth.get_user_from_session_id(first) is None
    assert auth.get_user_from_session_id(second).email == BOB
