"""email_change: change the email of an account, verify the new one, restore the old one.

A change requires a fresh session, and the response is the same whether the new email is free or
taken. The link sent to the new email verifies it, in a session of the account. Then every other
session ends, and the old email gets a link that restores it for a week, whatever happens to the
account meanwhile. While that link works, no other account can take the old email (NIST SP 800-63B-4
section 4.6; ASVS 6.3.7, 7.5.1).
"""

from bienvenue.features.email_change import commands as commands
from bienvenue.features.email_change import pages as pages
from bienvenue.features.email_change.errors import (
    SameEmail,
    WrongEmailToken,
    WrongRestoreToken,
)
from bienvenue.features.email_change.operations import EmailChange

__all__ = ["EmailChange", "SameEmail", "WrongEmailToken", "WrongRestoreToken"]
