"""second: another email of a person, to which notices go as well.

Whoever gets into the first mailbox, or replaces the first email, cannot keep what they do from the
owner. It is no way in: no letter with a link to the account goes there, and it says nothing about
who has an account. It counts once whoever reads that mailbox has said so (NIST SP 800-63B-4
section 4.6; ASVS 6.3.7).
"""

from bienvenue.features.notification_email import pages as pages
from bienvenue.features.notification_email.operations import (
    NoNotificationEmail,
    NotificationEmail,
    NotificationEmails,
    SameAsAccountEmail,
    WrongNotificationEmailToken,
)

__all__ = [
    "NoNotificationEmail",
    "NotificationEmail",
    "NotificationEmails",
    "SameAsAccountEmail",
    "WrongNotificationEmailToken",
]
