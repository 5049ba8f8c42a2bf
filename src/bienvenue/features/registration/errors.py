"""The refusal of a registration."""

from bienvenue.feature import Refusal


class WrongVerificationToken(Refusal):
    """The token is unknown, used or expired, or the password is not the one chosen with it."""

    status = 403
    code = "wrong_verification_token"
    message = "Wrong password, or the link has expired. Create your account again."
