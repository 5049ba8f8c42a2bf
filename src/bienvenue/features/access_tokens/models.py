"""The table of access tokens, its settings, and the statements of a check."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.settings import Seconds, Section
from bienvenue.user import FULL_ACCESS, Base, table_of

LONGEST_NAME = 100
"""Characters of the name of a token."""

ACCOUNT_READ = "account:read"
"""The scope for reading what the pages of an account show."""

_MOST_SCOPES = 30
_SCOPE = re.compile(r"[a-z][a-z0-9_.:-]{0,39}", re.ASCII)


class AccessToken(Base):
    """One access token."""

    __tablename__ = "access_tokens"
    __table_args__ = {"sqlite_with_rowid": False}

    #: The digest of the token; the token itself is not stored.
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    #: The public name of the token.
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: What its owner calls it.
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    #: Its scopes, separated by spaces; "*" for full access.
    scopes: Mapped[str] = mapped_column(String(2000))
    created_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)
    last_used_at: Mapped[float | None]

    def __repr__(self) -> str:
        """Show the public name and nothing secret."""
        return f"<AccessToken {self.uid}>"


_tokens = table_of(AccessToken)
columns = _tokens.c


def declared(value: str) -> dict[str, str]:
    """Return the scopes of a setting, as `read=Read your notes, write`, with their meanings.

    Raises ValueError.
    """
    found: dict[str, str] = {}
    for one in filter(None, (part.strip() for part in value.split(","))):
        name, _, meaning = (part.strip() for part in one.partition("="))
        if not _SCOPE.fullmatch(name) or name.startswith("account:") or name in found:
            raise ValueError(
                "has scopes as read or notes:write, each once, of small letters, digits and _.:-; "
                "those that begin with account: are the service's own"
            )
        if not meaning.isprintable() or len(meaning) > LONGEST_NAME:
            raise ValueError(f"has meanings of at most {LONGEST_NAME} printable characters")
        found[name] = meaning or name
    if len(found) > _MOST_SCOPES:
        raise ValueError(f"has at most {_MOST_SCOPES} scopes")
    return found


def _scopes(value: str) -> str:
    declared(value)
    return value


class AccessTokenSettings(Section):
    """Who may have access tokens, for what and for how long."""

    access_tokens: Literal["people", "services", "off"] = Field(
        "people",
        description="Who may have access tokens: people and services, services only, or no one "
        "(people, services or off).",
    )
    access_token_scopes: Annotated[str, AfterValidator(_scopes)] = Field(
        "",
        description="The scopes of the application's own views with what each allows, as "
        "`read=Read your notes, write=Change your notes`. By default none.",
    )
    access_token_lifetime: Seconds = Field(
        90 * 86400, description="How long a token lives if its owner names no other lifetime."
    )
    access_token_longest: Seconds = Field(
        366 * 86400,
        description="How long a token lives at most. A lower value ends older tokens too.",
    )
    access_token_cap: int = Field(
        50, ge=1, le=1000, description="Tokens an account has at most; a further one is refused."
    )

    @property
    def own_scopes(self) -> Mapping[str, str]:
        """The scopes that the application declares, with their meanings."""
        return declared(self.access_token_scopes)


@dataclass(frozen=True)
class AddedToken:
    """A new token. Only its owner is shown the secret."""

    uid: str
    name: str
    scopes: tuple[str, ...]
    expires_at: float
    #: The email of its account, or the name of the account of its service.
    account: str
    secret: str = field(repr=False)


#: The check of a token, which every request with one runs: as that of a session, one prepared
#: statement by primary key, which reads what can change.
CHECK = """
SELECT users.email, access_tokens.last_used_at
FROM {access_tokens} AS access_tokens JOIN {users} AS users ON users.id = access_tokens.user_id
WHERE access_tokens.digest = :digest AND access_tokens.expires_at > :now
  AND access_tokens.created_at > :created_after AND access_tokens.created_at <= :created_until
  AND users.disabled_at IS NULL
"""

#: What never changes, read once for each digest.
LASTING = """
SELECT users.id, users.uid, users.created_at, access_tokens.uid,
       access_tokens.name, access_tokens.scopes, access_tokens.created_at,
       access_tokens.expires_at
FROM {access_tokens} AS access_tokens JOIN {users} AS users ON users.id = access_tokens.user_id
WHERE access_tokens.digest = :digest
"""


def written(scopes: str) -> tuple[str, ...]:
    """Return the scopes of a row, in their order."""
    return tuple(scopes.split())


__all__ = [
    "ACCOUNT_READ",
    "CHECK",
    "FULL_ACCESS",
    "LASTING",
    "LONGEST_NAME",
    "AccessToken",
    "AccessTokenSettings",
    "AddedToken",
    "columns",
    "declared",
    "written",
]
