"""The tables of outstanding changes and of what can be undone, the words, and the settings."""

from pydantic import Field
from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.feature import Refusal
from bienvenue.settings import Seconds, Section
from bienvenue.user import Base, table_of


class PendingEmailChange(Base):
    """The one change an account asked for that is not proven yet."""

    __tablename__ = "email_changes"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    #: The digest of the token. One for an email that was not free is in no letter.
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    #: The email of the account as it asked. When it has another by now, the token is dead.
    old: Mapped[str] = mapped_column(String(254))
    new: Mapped[str] = mapped_column(String(254))
    asked: Mapped[float]
    #: Where it was asked from.
    ip: Mapped[str] = mapped_column(String(45))
    expires: Mapped[float] = mapped_column(index=True)
    #: The name of the letter that was written.
    letter: Mapped[str] = mapped_column(String(36))


class FormerEmail(Base):
    """One email an account had, kept for it as long as the link of its letter lives."""

    __tablename__ = "email_undos"
    __table_args__ = {"sqlite_autoincrement": True}

    #: In the order of the changes: whoever undoes one undoes all that came after it.
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    email: Mapped[str] = mapped_column(String(254), index=True)
    expires: Mapped[float] = mapped_column(index=True)
    letter: Mapped[str] = mapped_column(String(36))


changes, undos = table_of(PendingEmailChange), table_of(FormerEmail)


# --- words --------------------------------------------------------------------------------------


class SameEmail(Refusal):
    """The new email is the one the account has."""

    status = 422
    code = "same_email"
    message = "This is the email of your account already."


class WrongEmailToken(Refusal):
    """The token is not the one outstanding for this account, was used, or is over."""

    status = 403
    code = "wrong_email_change_token"
    message = (
        "This link was used, replaced by a newer one, is over, or is for another account. "
        "Ask for another."
    )


class WrongUndoToken(Refusal):
    """The token restores nothing: it was used, an earlier change was undone, or it is over."""

    status = 403
    code = "wrong_email_restore_token"
    heading = "This link does not work any more"
    link_to = "/"
    message = "This link was used, or is over. Write to whoever runs this service."


class EmailChangeSettings(Section):
    """How long the links of both letters work."""

    email_change_lifetime: Seconds = Field(
        86400,
        le=7 * 86400,
        description="How long the link works that proves a new email; at most a week.",
    )
    email_restore_lifetime: Seconds = Field(
        7 * 86400,
        le=30 * 86400,
        description="How long the old email can be restored, and is kept from others; at most "
        "thirty days.",
    )
