"""The refusals of mail."""

from bienvenue.feature import Refusal


class TooManyEmails(Refusal):
    """A network, an account, or all visitors together requested too many emails in an hour."""

    status = 429
    code = "too_many_emails"
    message = "Too many emails were requested from your network. Try again in 1 hour."

    def __init__(self) -> None:
        """Ask to come back in an hour."""
        super().__init__()
        self.retry_after = 3600


class LinkGone(Refusal):
    """The link of a message was used, replaced, sent or has expired, so it can't be sent whole."""

    status = 409
    code = "link_gone"
    message = (
        "The link of this email was sent, used or replaced, or has expired. Request a new email."
    )


class NoSuchMessage(Refusal):
    """No message has this name."""

    status = 404
    code = "no_such_message"
    message = "There is no email with this name."
