"""The refusals of an email change."""

from bienvenue.feature import Refusal


class SameEmail(Refusal):
    """The new email is the current email of the account."""

    status = 422
    code = "same_email"
    message = "This is already the email of your account."


class WrongEmailToken(Refusal):
    """The token was used, was replaced, has expired, or belongs to another account."""

    status = 403
    code = "wrong_email_change_token"
    message = (
        "This link was already used, was replaced, has expired or is for another account. "
        "Get a new one."
    )


class WrongRestoreToken(Refusal):
    """The token was used, has expired, or ended when an earlier email was restored."""

    status = 403
    code = "wrong_email_restore_token"
    heading = "This link no longer works"
    link_to = "/"
    message = "This link was already used or has expired. Contact support."
