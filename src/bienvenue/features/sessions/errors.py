"""The refusals of sessions."""

from collections.abc import Sequence

from bienvenue.authentication import Factor
from bienvenue.feature import Refusal


class NoSuchSession(Refusal):
    """None of the user's own sessions has this uid."""

    status = 404
    code = "no_such_session"
    message = "This session doesn't exist or has already ended."


class MFARequired(Refusal):
    """The password is right, but another factor is required; no session was opened."""

    status = 401
    code = "mfa_required"
    message = "One more step is needed to sign in."

    def __init__(self, due: Sequence[Factor], authentication: str) -> None:
        """Take the required factors, and the secret of the sign-in in progress."""
        super().__init__()
        self.extensions["next"] = [factor.name for factor in due]
        self.redirect_to = due[0].path
        self.authentication = authentication
