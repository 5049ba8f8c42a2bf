"""sessions: who is signed in, on which devices, and since when.

The cookie holds 256 random bits; the table stores their digest, one row for each device. A session
is live only while its `generation` equals `users.session_id`: setting that to NULL ends all
sessions of a user in one statement, and a new generation with one row moved to it ends all others.
Expiry is a condition of the look-up, so an expired row that is not yet swept is never accepted
(ASVS 7.2 to 7.4; NIST SP 800-63B-4 sections 2 and 5).
"""

from bienvenue.features.sessions import commands as commands
from bienvenue.features.sessions import pages as pages
from bienvenue.features.sessions.errors import MFARequired, NoSuchSession
from bienvenue.features.sessions.models import OpenedSession, Session
from bienvenue.features.sessions.operations import Sessions
from bienvenue.user import SignedIn

__all__ = ["MFARequired", "NoSuchSession", "OpenedSession", "Session", "Sessions", "SignedIn"]
