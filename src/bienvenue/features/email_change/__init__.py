"""email: changing one's email, proven at the new one and undone from the old one.

It is asked for with a fresh session, and the same is said and done whether the new email is free
or not. A letter's link proves the new mailbox, in a session of the account; then every other
session ends, and the old mailbox gets a link that restores it for a week, whatever happens in the
account meanwhile. As long as that link lives, nobody else can have the old email (NIST SP
800-63B-4 section 4.6; ASVS 6.3.7, 7.5.1).
"""

from bienvenue.features.email_change import commands as commands
from bienvenue.features.email_change import pages as pages
from bienvenue.features.email_change.models import (
    SameEmail,
    WrongEmailToken,
    WrongUndoToken,
)
from bienvenue.features.email_change.operations import EmailChange

__all__ = ["EmailChange", "SameEmail", "WrongEmailToken", "WrongUndoToken"]
