"""The table of closed accounts, their link and their settings."""

from pydantic import Field
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import purposes
from bienvenue.settings import Seconds, Section
from bienvenue.tokens import Purpose
from bienvenue.user import Base, table_of


class ClosedAccount(Base):
    """A closed account. It is disabled now, and deleted once `delete_at` has passed."""

    __tablename__ = "account_closures"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    closed_at: Mapped[float]
    delete_at: Mapped[float] = mapped_column(index=True)


closures = table_of(ClosedAccount)

#: The link that reopens a closed account. It ends when an administrator disables the account.
REOPENING = Purpose("reopening", purposes.REOPENING, "/account/reopen")


class ClosureSettings(Section):
    """How long a closed account can be reopened."""

    closure_grace: Seconds = Field(
        14 * 86400,
        ge=86400,
        le=90 * 86400,
        description="How long after its owner closed it an account is deleted; a day to 90 days.",
    )
