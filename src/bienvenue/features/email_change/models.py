"""What the links of an email change are for, the words, and the settings."""

from pydantic import Field

from bienvenue import purposes
from bienvenue.feature import Refusal
from bienvenue.features.one_time_tokens import Purpose
from bienvenue.settings import Seconds, Section

#: The link that verifies the new email. `data` has the email of the account as it asked, `old`, and
#: the `ip` it asked from. One for an email that was not free is in no email.
EMAIL_CHANGE = Purpose("email_change", purposes.EMAIL_CHANGE, "/email/new")

#: The link that restores a former email, which is kept for the account as long as the link works.
#: It undoes what a thief of the account does, so nothing a thief does may end it. Undoing one
#: change undoes all that came after it.
EMAIL_RESTORE = Purpose("email_restore", purposes.EMAIL_RESTORE, "/email/restore", lasting=True)


# --- words --------------------------------------------------------------------------------------


class SameEmail(Refusal):
    """The new email is the one the account has."""

    status = 422
    code = "same_email"
    message = "This is already the email of your account."


class WrongEmailToken(Refusal):
    """The token is not the one outstanding for this account, was used, or is over."""

    status = 403
    code = "wrong_email_change_token"
    message = (
        "This link was already used, was replaced, has expired or is for another account. "
        "Get a new one."
    )


class WrongUndoToken(Refusal):
    """The token restores nothing: it was used, an earlier change was undone, or it is over."""

    status = 403
    code = "wrong_email_restore_token"
    heading = "This link no longer works"
    link_to = "/"
    message = "This link was already used or has expired. Contact support."


class EmailChangeSettings(Section):
    """How long the links of both letters work."""

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
