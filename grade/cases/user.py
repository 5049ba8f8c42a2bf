"""user.py: the User model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, String, inspect
from sqlalchemy.exc import NoInspectionAvailable

from grade.case import case

if TYPE_CHECKING:
    from grade.half import Half


def column(half: Half, name: str) -> Any:
    """Give a column of the model. Raises Unmet where it is missing."""
    model = half.User
    half.look(f"User.{name}", "user.py", name)
    table = getattr(model, "__table__", None)
    if table is None:
        half.fail("a column of a table", "User is not mapped to a table")
    there = [one.name for one in table.columns]
    half.expect_that(name in there, "a column", f"the columns {', '.join(there)}")
    return table.columns[name]


@case(
    1,
    en="The class names its table in `__tablename__` and derives from the declarative base.",
    fr="La classe nomme sa table dans `__tablename__` et dérive de la base déclarative.",
)
def the_model_is_mapped_to_a_table_named_users(half: Half) -> None:
    """Create a SQLAlchemy model named User for a database table named users."""
    model = half.User
    half.look("User.__tablename__", "user.py", "__tablename__")
    half.expect(getattr(model, "__tablename__", None), "users")
    try:
        name = inspect(model).local_table.name
    except NoInspectionAvailable:
        name = "no table: User is not mapped"
    half.expect(name, "users")


@case(
    1,
    en="One column is the primary key, and it holds integers.",
    fr="Une seule colonne est la clé primaire, et elle contient des entiers.",
)
def id_is_the_integer_primary_key(half: Half) -> None:
    """Id, the integer primary key."""
    made = column(half, "id")
    half.expect([one.name for one in half.User.__table__.primary_key], ["id"], ".primary_key")
    half.expect_a(made.type, Integer, ".type")


@case(
    1,
    en="A SQLAlchemy column may be empty unless you say that it must not be.",
    fr="Une colonne de SQLAlchemy peut rester vide, sauf si on le lui interdit.",
)
def email_and_hashed_password_are_required(half: Half) -> None:
    """Email and hashed_password, non-nullable strings."""
    for name in ("email", "hashed_password"):
        made = column(half, name)
        half.expect_a(made.type, String, ".type")
        half.expect(made.nullable, False, ".nullable")


@case(
    1,
    en="A user who is not signed in has no session, so these two columns may be empty.",
    fr="Un utilisateur non connecté n'a pas de session : ces deux colonnes peuvent rester vides.",
)
def session_id_and_reset_token_may_be_missing(half: Half) -> None:
    """Session_id and reset_token, nullable strings."""
    for name in ("session_id", "reset_token"):
        made = column(half, name)
        half.expect_a(made.type, String, ".type")
        half.expect(made.nullable, True, ".nullable")
