"""The table of notification emails, their link and their settings."""

from typing import NamedTuple

from pydantic import Field
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import purposes
from bienvenue.settings import Seconds, Section
from bienvenue.tokens import Purpose
from bienvenue.user import Base, table_of


class NotificationEmail(Base):
    """The notification email of an account, once it is verified."""

    __tablename__ = "notification_emails"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    #: Not unique: it is no identifier for signing in.
    email: Mapped[str] = mapped_column(String(254))
    verified_at: Mapped[float]


notification_emails = table_of(NotificationEmail)

#: The notification email that an account asked for last; its token is never sent.
NOTIFICATION_EMAIL = Purpose(
    "notification_email", purposes.NOTIFICATION_EMAIL, "/notification_email/verification"
)

#: The link that verifies a notification email, for the account that asked for the message, or for
#: the one that is signed in where it is opened. The account whose request sent it cannot end it: it
#: may be the only link that the owner of the mailbox has (E26).
NOTIFICATION_EMAIL_LINK = Purpose(
    "notification_email_link",
    purposes.NOTIFICATION_EMAIL,
    "/notification_email/verification",
    lasting=True,
)


class NotificationEmailState(NamedTuple):
    """The notification email of an account. `since` is RFC 3339 in UTC."""

    #: The verified one.
    email: str | None
    #: When it was verified.
    since: str | None
    #: The one that is not verified yet.
    waiting: str | None


class NotificationEmailSettings(Section):
    """How long the link that verifies a notification email works."""

    notification_email_lifetime: Seconds = Field(
        86400,
        le=7 * 86400,
        description="How long the link that verifies a notification email works.",
    )
