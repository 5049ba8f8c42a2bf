"""The table of sessions, its settings, and its statements."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field
from sqlalchemy import (
    BindParameter,
    ForeignKey,
    LargeBinary,
    String,
    bindparam,
    delete,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.features.preferences import Preferences
from bienvenue.settings import Seconds, Section
from bienvenue.user import Base, User, table_of


class Session(Base):
    """One signed-in device."""

    __tablename__ = "sessions"
    __table_args__ = {"sqlite_with_rowid": False}

    #: The digest of the secret in the cookie; the secret itself is not stored.
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    #: The public name of the session.
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: The value of `users.session_id` at sign-in; the session is live while the two are equal.
    generation: Mapped[str] = mapped_column(String(36))
    created_at: Mapped[float]
    last_seen_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)
    #: When the user last authenticated in this session (`auth_time` of OpenID Connect).
    authenticated_at: Mapped[float]
    #: The completed factors, separated by spaces, as "pwd" (RFC 8176).
    amr: Mapped[str] = mapped_column(String(100))
    ip: Mapped[str] = mapped_column(String(45))
    agent: Mapped[str] = mapped_column(String(512))
    #: Whether the browser keeps the cookie when it closes.
    remembered: Mapped[bool] = mapped_column(server_default=true())


_sessions, _users = table_of(Session), table_of(User)
columns = _sessions.c


class SessionSettings(Section):
    """The lifetime of a session and the number of sessions of a user."""

    session_lifetime: Seconds = Field(
        30 * 86400, description="How long a session lives at most (24h for ASVS level 2)."
    )
    session_idle: Seconds = Field(
        14 * 86400, description="How long it lives without being used (1h for ASVS level 2)."
    )
    session_browser_lifetime: Seconds = Field(
        86400, description="How long a session lives at most that ends with the browser."
    )
    remember: Literal["asked", "always"] = Field(
        "asked",
        description="Whether the sign-in page asks if the browser keeps the session when it closes "
        "(asked), or every session is kept (always).",
    )
    session_cap: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Sessions a person has at most; the one unused for the longest ends.",
    )
    session_fresh: Seconds = Field(
        15 * 60, description="How long after signing in a person may do what needs a fresh sign-in."
    )


@dataclass(frozen=True)
class OpenedSession:
    """A new session. Only the cookie may contain its secret."""

    user: User
    secret: str
    #: The secret of the browser, which is a known device from now on; None for code.
    device: str | None = None
    #: The code of the language that the user chose, or None.
    language: str | None = None

    def __repr__(self) -> str:
        """Show the user and nothing secret."""
        return f"<Opened {self.user.uid}>"


#: The session check, which every request of every application runs: one prepared statement that
#: the edge and Flask share. It reads what can change, in the order of `SignedIn`; each column
#: costs as much time as a line of Python.
CHECK = """
SELECT users.email, sessions.generation, sessions.last_seen_at, sessions.authenticated_at
FROM {sessions} AS sessions JOIN {users} AS users ON users.id = sessions.user_id
WHERE sessions.digest = :digest AND sessions.generation = users.session_id
  AND sessions.expires_at > :now AND sessions.created_at > :created_after
  AND sessions.created_at <= :created_until
  AND sessions.last_seen_at > :seen_after AND users.disabled_at IS NULL
"""

#: The rest of `SignedIn`, read once for each digest.
LASTING = """
SELECT users.id, users.uid, users.created_at, sessions.uid, sessions.digest,
       sessions.created_at, sessions.expires_at, sessions.amr, sessions.ip, sessions.agent,
       sessions.remembered
FROM {sessions} AS sessions JOIN {users} AS users ON users.id = sessions.user_id
WHERE sessions.digest = :digest
"""

# Every sign-in runs these. Building one each time took longer than the database takes to run it.

_USER: BindParameter[int] = bindparam("the_user")
_DIGEST: BindParameter[bytes] = bindparam("the_digest")

#: The row of the user is the lock: sign-ins of one user pass here one by one, and only while the
#: hash is the one that was compared and the account is not disabled.
GENERATION = (
    update(_users)
    .where(
        _users.c.id == _USER,
        _users.c.hashed_password == bindparam("compared"),
        _users.c.disabled_at.is_(None),
    )
    .values(
        session_id=func.coalesce(_users.c.session_id, bindparam("new_generation")),
        hashed_password=bindparam("hashed"),
    )
    .returning(_users.c.session_id, Preferences.language_column(_USER))
)
OPEN = insert(_sessions)
#: Sessions that are over end without a word; of the others, those that are too many are told.
_OVER = (
    (columns.generation != bindparam("the_generation"))
    | (columns.expires_at <= bindparam("now"))
    | (columns.created_at <= bindparam("created_before"))
    | (columns.last_seen_at <= bindparam("seen_before"))
)
MAKE_ROOM = (
    delete(_sessions)
    .where(
        columns.user_id == _USER,
        _OVER
        | columns.digest.not_in(
            select(columns.digest)
            .where(columns.user_id == _USER, ~_OVER)
            .order_by((columns.digest == _DIGEST).desc(), columns.last_seen_at.desc())
            .limit(bindparam("cap"))
        ),
    )
    .returning(columns.uid, columns.user_id, _OVER.label("over"))
)
