"""User: the five columns of the exercise, and the columns that every account needs besides.

docs/features/accounts.md explains what the five columns hold.
"""

import uuid
from typing import Any, ClassVar, NamedTuple, cast

from sqlalchemy import Double, MetaData, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bienvenue import clock

#: The scope of an access token that may do all that a token may do.
FULL_ACCESS = "*"


class Base(DeclarativeBase):
    """The base of every table; it names constraints, so that migrations can refer to them."""

    # Times are double precision; the default type of a float depends on the SQLAlchemy version.
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
    """Return the table of a model, for statements that don't need the model."""
    return cast("Table", model.__table__)


class User(Base):
    """One account. `uid` is its public name; `id` never leaves the service."""

    __tablename__ = "users"
    # An id is never reused, so no data of a deleted account can pass to a new one.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    #: Normalised before any other use; ASCII, lower case, unique.
    email: Mapped[str] = mapped_column(String(254), unique=True)
    #: bcrypt in one of two forms, an imported hash until the next sign-in, or "!" for none.
    hashed_password: Mapped[str] = mapped_column(String(512))
    #: The generation of all live sessions. Setting it to NULL ends them all in one statement.
    session_id: Mapped[str | None] = mapped_column(String(36))
    #: The digest of the only outstanding reset token.
    reset_token: Mapped[str | None] = mapped_column(String(64), unique=True, index=True)
    uid: Mapped[str] = mapped_column(
        String(36), unique=True, default=lambda: str(uuid.uuid4()), sort_order=1
    )
    # Looked up at each call, so that tests can replace the clock.
    created_at: Mapped[float] = mapped_column(
        default=lambda: clock.now(),  # noqa: PLW0108 (as above)
        sort_order=1,
    )
    #: When an administrator disabled the account, or None.
    disabled_at: Mapped[float | None] = mapped_column(sort_order=1)

    def __repr__(self) -> str:
        """Show the public name and nothing secret."""
        return f"<User {self.uid}>"


class AccessTokenGrant(NamedTuple):
    """What an access token is for. Nothing of it changes while the token lives."""

    uid: str
    name: str
    #: The names of its scopes; FULL_ACCESS stands for all.
    scopes: frozenset[str]

    def allows(self, scope: str) -> bool:
        """Tell whether the token has a scope."""
        return scope in self.scopes or FULL_ACCESS in self.scopes


class SignedIn(NamedTuple):
    """A user with a live session, as the session check read them. Times are seconds since 1970.

    For a request with an access token the members of a session are empty, and those of the moment
    say when the token was made, when it ends and when it was last used.
    """

    email: str
    generation: str
    last_seen_at: float
    authenticated_at: float
    # From here on nothing changes while the digest is the same.
    user_id: int
    user_uid: str
    user_created_at: float
    session_uid: str
    digest: bytes
    created_at: float
    expires_at: float
    amr: str
    ip: str
    agent: str
    #: Whether the browser keeps the cookie when it closes.
    remembered: bool
    #: The access token by which a program acts for the user; None for a session.
    token: AccessTokenGrant | None = None

    def __repr__(self) -> str:
        """Show the public names of the user and of session or token, and nothing secret."""
        by = self.session_uid if self.token is None else f"token {self.token.uid}"
        return f"<SignedIn {self.user_uid} {by}>"
