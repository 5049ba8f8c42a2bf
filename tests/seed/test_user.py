"""user.py: the User model."""

from __future__ import annotations

import pytest
from sqlalchemy import Integer, String, inspect

from tests.seed.half import Half


def test_the_model_is_mapped_to_a_table_named_users(half: Half) -> None:
    """Create a SQLAlchemy model named User for a database table named users."""
    assert half.User.__name__ == "User"
    assert half.User.__tablename__ == "users"
    assert inspect(half.User).local_table.name == "users"


def test_id_is_the_integer_primary_key(half: Half) -> None:
    """Id, the integer primary key."""
    table = half.User.__table__
    assert [column.name for column in table.primary_key] == ["id"]
    assert isinstance(table.columns["id"].type, Integer)


@pytest.mark.parametrize("name", ["email", "hashed_password"])
def test_email_and_hashed_password_are_required(half: Half, name: str) -> None:
    """Email and hashed_password, non-nullable strings."""
    column = half.User.__table__.columns[name]
    assert isinstance(column.type, String)
    assert not column.nullable


@pytest.mark.parametrize("name", ["session_id", "reset_token"])
def test_session_id_and_reset_token_may_be_missing(half: Half, name: str) -> None:
    """Session_id and reset_token, nullable strings."""
    column = half.User.__table__.columns[name]
    assert isinstance(column.type, String)
    assert column.nullable


def test_the_course_has_these_five_attributes_and_no_other(course: Half) -> None:
    """The model will have the following attributes."""
    names = ["id", "email", "hashed_password", "session_id", "reset_token"]
    assert [column.name for column in course.User.__table__.columns] == names
