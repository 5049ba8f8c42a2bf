"""User: the five columns of the exercise, and what every account needs besides.

The five keep their names and their place in the story; what they hold is explained in
docs/features/accounts.md.
"""

import uuid
from typing import Any, ClassVar, cast

from sqlalchemy import Double, MetaData, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bienvenue import clock


class Base(DeclarativeBase):
    """The root of every table, with names for constraints so that migrations can speak of them."""

    # Times are double precision; which type a plain float is depends on the version of SQLAlchemy.
    type_annotation_map: ClassVar[dict[Any, Any]] = {float: Double()}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def table_of(model: type[Base]) -> Table:
    """Give the table of a model, for statements that need nothing of the model itself."""
    return cast("Table", model.__table__)


class User(Base):
    """One account. `uid` is its public name; `id` never leaves the service."""

    __tablename__ = "users"
    # An id is never given twice, so nothing of a deleted account can pass to a new one.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    #: Normalised once, before anything else; ASCII, lower case, unique.
    email: Mapped[str] = mapped_column(String(254), unique=True)
    #: bcrypt in one of its two forms, a foreign hash until the next sign-in, or "!" for none.
    hashed_password: Mapped[str] = mapped_column(String(512))
    #: The root of all open sessions. Setting it to NULL ends them all, in one statement.
    session_id: Mapped[str | None] = mapped_column(String(36))
    #: The digest of the only outstanding reset token.
    reset_token: Mapped[str | None] = mapped_column(String(64), unique=True, index=True)
    uid: Mapped[str] = mapped_column(
        String(36), unique=True, default=lambda: str(uuid.uuid4()), sort_order=1
    )
    # Named at each use, so that a clock that tests move is the one that is read.
    created_at: Mapped[float] = mapped_column(
        default=lambda: clock.now(),  # noqa: PLW0108 (as above)
        sort_order=1,
    )
    #: When an administrator disabled the account, or None.
    disabled_at: Mapped[float | None] = mapped_column(sort_order=1)

    def __repr__(self) -> str:
        """Show the public name and nothing secret."""
        return f"<User {self.uid}>"
