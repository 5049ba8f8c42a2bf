"""proof: an account begins once its email is proven, and nobody learns whose email has one.

Where letters leave, registering makes no account: it makes a pending registration, and a letter to
the email. Its token AND the password chosen make the account, so nobody prepares one for somebody
else. Whoever registers a taken email hears the same words after the same work; the letter goes to
the account's owner and says so (NIST SP 800-63B-4 section 3.1.3.1; ASVS 6.3.8, 6.4.1).
"""

from bienvenue.features.registration import commands as commands
from bienvenue.features.registration import pages as pages
from bienvenue.features.registration.models import REGISTRATION, VerifiedEmail
from bienvenue.features.registration.operations import Registration, WrongVerificationToken

__all__ = ["REGISTRATION", "Registration", "VerifiedEmail", "WrongVerificationToken"]
