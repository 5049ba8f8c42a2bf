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

#: The link that verifies a notification email. One is outstanding for an account.
NOTIFICATION_EMAIL = Purpose(
    "notification_email", purposes.NOTIFICATION_EMAIL, "/notification_email/verification"
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
