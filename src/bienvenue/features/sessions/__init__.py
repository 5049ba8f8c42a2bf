"""sessions: who is signed in, on which devices, and since when.

The cookie bears 256 random bits; the table keeps their digest, one row a device. Every row carries
the root it was opened under, `users.session_id`, and lives only while the two are equal: setting
the root to NULL ends every session of a person in one statement, and a new root with one row
carried over ends all others. Expiry is a condition of the look-up, so a row nobody swept is dead
all the same (ASVS 7.2 to 7.4; NIST SP 800-63B-4 sections 2 and 5).
"""

from bienvenue.features.sessions import commands as commands
from bienvenue.features.sessions import pages as pages
from bienvenue.features.sessions.models import (
    MFARequired,
    NoSuchSession,
    OpenedSession,
    Session,
    SignedIn,
)
from bienvenue.features.sessions.operations import Sessions

__all__ = ["MFARequired", "NoSuchSession", "OpenedSession", "Session", "Sessions", "SignedIn"]
