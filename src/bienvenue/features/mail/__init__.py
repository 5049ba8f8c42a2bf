"""mail: letters to people, written with what causes them and carried afterwards.

A letter is a row, written in the transaction of its event, so none is sent for what did not happen
and none is lost of what did. A carrier takes one row at a time by a conditional claim, sends it,
and marks it; a claim that was never marked ends by itself, and the letter leaves again under the
same Message-ID. What bears a token is sealed with the key ring, and erased once it was carried, or
once the token is spent or over (ASVS 6.3.7, 6.4.1, 16.2.5; NIST SP 800-63B-4 section 4.6).
"""

from bienvenue.features.mail import commands as commands
from bienvenue.features.mail.asking import AN_HOUR, FROM_A_NETWORK, GAP, EmailSent, TooManyEmails
from bienvenue.features.mail.models import Message, MessageState, NoSuchMessage
from bienvenue.features.mail.operations import Mail
from bienvenue.features.mail.smtp import MailSettings, SendProblem
from bienvenue.features.mail.writing import MessageText

__all__ = [
    "AN_HOUR",
    "FROM_A_NETWORK",
    "GAP",
    "EmailSent",
    "Mail",
    "MailSettings",
    "Message",
    "MessageState",
    "MessageText",
    "NoSuchMessage",
    "SendProblem",
    "TooManyEmails",
]
