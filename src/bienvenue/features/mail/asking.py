"""How many letters a stranger can have written."""

from typing import Literal

from bienvenue.feature import Refusal
from bienvenue.web.page import Reply

GAP, AN_HOUR = 120.0, 5
"""Seconds between two letters to one email, and letters to it in an hour; the last link stays."""

FROM_A_NETWORK = 20
"""Letters that one network can ask for in an hour."""


class TooManyEmails(Refusal):
    """So many letters were asked for from one network that the next one waits."""

    status = 429
    code = "too_many_emails"
    message = "Too many emails were requested from your network. Try again in 1 hour."

    def __init__(self) -> None:
        """Ask to come back in an hour."""
        super().__init__()
        self.retry_after = 3600


class EmailSent(Reply):
    """What asking for a letter gives, whoever asks."""

    email: str
    message: Literal["check your email"] = "check your email"
