"""notification_email: a second address of an account that receives its notices.

An attacker who reads the mailbox of the account, or changes its email, cannot hide that from the
owner. The notification email gives no access: no link into the account is sent there, the user does
not sign in with it, and it does not tell who has an account. It receives notices once its reader
has verified it (NIST SP 800-63B-4 section 4.6; ASVS 6.3.7).
"""

from bienvenue.features.notification_email import commands as commands
from bienvenue.features.notification_email import pages as pages
from bienvenue.features.notification_email.errors import (
    NoNotificationEmail,
    SameAsAccountEmail,
    WrongNotificationEmailToken,
)
from bienvenue.features.notification_email.models import NotificationEmail
from bienvenue.features.notification_email.operations import NotificationEmails

__all__ = [
    "NoNotificationEmail",
    "NotificationEmail",
    "NotificationEmails",
    "SameAsAccountEmail",
    "WrongNotificationEmailToken",
]
