"""db.py: add_user, find_user_by, update_user."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from sqlalchemy.exc import InvalidRequestError, NoResultFound

from tests.seed.half import Half


def test_add_user_saves_the_user_and_returns_it(half: Half) -> None:
    """Return a User object and save the user to the database."""
    db = half.DB()
    user = db.add_user("bob@example.com", "hash of bob")
    assert isinstance(user, half.User)
    assert (user.email, user.hashed_password) == ("bob@example.com", "hash of bob")
    assert (user.session_id, user.reset_token) == (None, None)
    assert isinstance(user.id, int)
    assert db.find_user_by(id=user.id).email == "bob@example.com"


def test_add_user_has_two_required_arguments(half: Half) -> None:
    """It has two required string arguments: email and hashed_password."""
    parameters = inspect.signature(half.DB().add_user).parameters.values()
    required = [each.name for each in parameters if each.default is inspect.Parameter.empty]
    assert required == ["email", "hashed_password"]


def test_every_user_has_an_id_of_its_own(half: Half) -> None:
    """Id is the primary key."""
    db = half.DB()
    ids = {db.add_user(f"{name}@example.com", "hash").id for name in ("ann", "bob", "eve")}
    assert len(ids) == 3


def test_find_user_by_takes_any_attribute(half: Half) -> None:
    """It takes in arbitrary keyword arguments."""
    db = half.DB()
    db.add_user("ann@example.com", "hash of ann")
    bob = db.add_user("bob@example.com", "hash of bob")
    db.update_user(bob.id, session_id="session of bob", reset_token="token of bob")
    for name in ("id", "email", "hashed_password", "session_id", "reset_token"):
        value = getattr(db.find_user_by(id=bob.id), name)
        assert db.find_user_by(**{name: value}).id == bob.id, name
    assert db.find_user_by(id=bob.id, email="bob@example.com").id == bob.id


def test_find_user_by_returns_the_first_row(half: Half) -> None:
    """Return the first row found in the users table as filtered by the input arguments."""
    db = half.DB()
    db.add_user("ann@example.com", "hash of ann")
    first = db.add_user("bob@example.com", "the same hash")
    db.add_user("eve@example.com", "the same hash")
    assert db.find_user_by(hashed_password="the same hash").id == first.id


@pytest.mark.parametrize(
    "values",
    [
        {"email": "eve@example.com"},
        {"id": 2},
        {"email": "bob@example.com", "hashed_password": "hash of eve"},
    ],
    ids=["no such email", "no such id", "not both at once"],
)
def test_no_result_found(half: Half, values: dict[str, object]) -> None:
    """NoResultFound is raised when no results are found."""
    db = half.DB()
    assert db.add_user("bob@example.com", "hash of bob").id != 2
    with pytest.raises(NoResultFound):
        db.find_user_by(**values)


@pytest.mark.parametrize(
    "values",
    [{"shoe_size": 43}, {"email": "bob@example.com", "shoe_size": 43}],
    ids=["alone", "beside a right one"],
)
def test_invalid_request_error(half: Half, values: dict[str, object]) -> None:
    """InvalidRequestError is raised when wrong query arguments are passed."""
    db = half.DB()
    db.add_user("bob@example.com", "hash of bob")
    with pytest.raises(InvalidRequestError) as failure:
        db.find_user_by(**values)
    # NoResultFound is an InvalidRequestError too, and it would be the wrong one.
    assert not isinstance(failure.value, NoResultFound)


def test_update_user_changes_the_attributes_and_returns_none(half: Half) -> None:
    """Update the user's attributes as passed in the method's arguments, return None."""
    db = half.DB()
    ann = db.add_user("ann@example.com", "hash of ann")
    bob = db.add_user("bob@example.com", "hash of bob")
    assert db.update_user(user_id=bob.id, hashed_password="new hash", reset_token="token") is None
    changed = db.find_user_by(id=bob.id)
    assert (changed.hashed_password, changed.reset_token) == ("new hash", "token")
    assert changed.email == "bob@example.com"
    assert db.find_user_by(id=ann.id).hashed_password == "hash of ann"


def test_update_user_can_set_nothing(half: Half) -> None:
    """Session_id and reset_token are nullable, and become None again."""
    db = half.DB()
    bob = db.add_user("bob@example.com", "hash of bob")
    db.update_user(bob.id, session_id="session")
    db.update_user(bob.id, session_id=None)
    assert db.find_user_by(id=bob.id).session_id is None


@pytest.mark.parametrize("name", ["shoe_size", "metadata", "__tablename__"])
def test_update_user_refuses_what_is_no_attribute(half: Half, name: str) -> None:
    """Raise a ValueError for what does not correspond to a user attribute; nothing changes."""
    db = half.DB()
    bob = db.add_user("bob@example.com", "hash of bob")
    with pytest.raises(ValueError, match=name):
        db.update_user(bob.id, **{"hashed_password": "new hash", name: "43"})
    assert db.find_user_by(id=bob.id).hashed_password == "hash of bob"


def test_update_user_uses_find_user_by(half: Half) -> None:
    """The method will use find_user_by to locate the user: no one there is NoResultFound."""
    with pytest.raises(NoResultFound):
        half.DB().update_user(1, hashed_password="new hash")


def test_the_users_of_the_course_outlive_a_restart(course: Half) -> None:
    """A DB that is made on the same file finds the users of the last one."""
    before = course.DB()
    before.add_user("bob@example.com", "hash of bob")
    after = type(before)()
    try:
        assert after.find_user_by(email="bob@example.com").hashed_password == "hash of bob"
        assert (Path(os.curdir) / "a.db").exists()
    finally:
        after._engine.dispose()
