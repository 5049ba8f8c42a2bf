"""The refusals of a registration."""

from bienvenue.feature import Refusal


class WrongVerificationToken(Refusal):
    """The token is unknown, used or expired, or the password is not the one chosen with it."""

    status = 403
    code = "wrong_verification_token"
    message = "Wrong password, or the link has expired. Create your account again."


class PasswordRequired(Refusal):
    """The browser did not make the registration, or made another one since."""

    status = 403
    code = "password_required"
    message = "Enter the password you chose."
