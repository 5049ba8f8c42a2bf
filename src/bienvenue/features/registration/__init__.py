"""registration: an account is created once its email is verified.

Where a mail server is configured, registering creates a pending registration and sends a link to
the email. The token of the link AND the chosen password create the account, or the token in the
browser that registered, which is signed in: so an attacker cannot prepare an account for another
person. A taken email gets the same response after the same work; the message then goes to the owner
of the account and says that it exists (NIST SP 800-63B-4 section 3.1.3.1; ASVS 6.3.8, 6.4.1).
"""

from bienvenue.features.registration import commands as commands
from bienvenue.features.registration import pages as pages
from bienvenue.features.registration.errors import PasswordRequired, WrongVerificationToken
from bienvenue.features.registration.models import (
    REGISTRATION,
    PendingRegistration,
    VerifiedEmail,
)
from bienvenue.features.registration.operations import Registration

__all__ = [
    "REGISTRATION",
    "PasswordRequired",
    "PendingRegistration",
    "Registration",
    "VerifiedEmail",
    "WrongVerificationToken",
]
