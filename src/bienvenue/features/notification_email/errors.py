"""The refusals of notification emails."""

from bienvenue.feature import Refusal


class SameAsAccountEmail(Refusal):
    """The notification email is the email of the account, which receives notices anyway."""

    status = 422
    code = "same_as_account_email"
    message = (
        "This is the email of your account, which already receives notifications. "
        "Enter another one."
    )


class NoNotificationEmail(Refusal):
    """The account has no notification email, verified or pending."""

    status = 404
    code = "no_notification_email"
    message = "There is no notification email."


class WrongNotificationEmailToken(Refusal):
    """The token was used, was replaced or has expired."""

    status = 403
    code = "wrong_notification_email_token"
    heading = "This link no longer works"
    link_to = "/"
    message = "This link was already used, was replaced or has expired."
