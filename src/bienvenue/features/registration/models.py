"""The table of verified emails, the link of a registration, and what a browser has of it."""

from dataclasses import dataclass, field

from pydantic import Field
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import purposes
from bienvenue.settings import Seconds, Section
from bienvenue.tokens import Purpose
from bienvenue.user import Base, table_of

#: The cookie of the browser that registered; it opens nothing without the link in the email.
BROWSER_COOKIE = "registration"

#: The link that completes a registration. An email may have several, each with its own password.
REGISTRATION = Purpose("registration", purposes.VERIFICATION, "/email/verification")


class VerifiedEmail(Base):
    """The email that an account verified. It verifies no other email the account has since."""

    __tablename__ = "verified_emails"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    email: Mapped[str] = mapped_column(String(254))
    verified_at: Mapped[float]


verified_emails = table_of(VerifiedEmail)


@dataclass(frozen=True)
class PendingRegistration:
    """A registration that waits for the link in its email, or that seems to: the email is taken."""

    #: The secret of the browser that registered, whose digest the registration holds. Together
    #: with a link to the email it stands for the password.
    browser: str = field(repr=False)


class VerificationSettings(Section):
    """How long a registration stays pending."""

    verification_lifetime: Seconds = Field(
        86400,
        le=7 * 86400,
        description="How long the link that verifies an email works; 7d at most.",
    )
