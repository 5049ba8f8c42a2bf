"""What the pages of other features answer when they send an email; mail has no page of its own."""

from typing import Literal

from bienvenue.web.page import Reply


class EmailSent(Reply):
    """The answer to a request for an email, the same for a known and an unknown address."""

    email: str
    message: Literal["check your email"] = "check your email"
