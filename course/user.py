"""The User model of the exercise.

It is as weak as the exercise is: good to learn from, and not for real people's passwords.
"""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What every model of this database starts from."""


class User(Base):
    """One person, one row of the table ``users``."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    hashed_password: Mapped[str]
    session_id: Mapped[str | None]
    reset_token: Mapped[str | None]
