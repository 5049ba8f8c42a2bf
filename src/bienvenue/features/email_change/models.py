"""The links of an email change, and its settings."""

from pydantic import Field

from bienvenue import purposes
from bienvenue.settings import Seconds, Section
from bienvenue.tokens import Purpose

#: The change that an account asked for last; its token is never sent. `data` holds `old`, the email
#: of the account at the time of the request, and `ip`, the address it came from.
EMAIL_CHANGE = Purpose("email_change", purposes.EMAIL_CHANGE, "/email/new")

#: The link that verifies a new email, for any account that asked for that email. The account whose
#: request sent it cannot end it: it may be the only link that the owner of the mailbox has (E26).
#: For a taken email the token is never sent.
EMAIL_CHANGE_LINK = Purpose("email_change_link", purposes.EMAIL_CHANGE, "/email/new", lasting=True)

#: The link that restores a former email, which stays reserved for the account while the link works.
#: It reverts what an attacker who took over the account did, so no operation on the account may end
#: it. Restoring an email reverts every later change too.
EMAIL_RESTORE = Purpose(
    "email_restore", purposes.EMAIL_RESTORE, "/email/restore", lasting=True, reserves=True
)


class EmailChangeSettings(Section):
    """How long the links of both emails work."""

    email_change_lifetime: Seconds = Field(
        86400,
        le=7 * 86400,
        description="How long the link works that verifies a new email; at most a week.",
    )
    email_restore_lifetime: Seconds = Field(
        7 * 86400,
        le=30 * 86400,
        description="How long the old email can be restored, and is kept from others; at most "
        "thirty days.",
    )
