"""mail: messages to people, written with their cause and sent afterwards.

A message is a row, written in the transaction of its event, so none is sent for what did not happen
and none is lost of what did. The rows are a queue (`bienvenue.queue`): a worker claims one, sends
it and marks it; a message whose worker died is sent again under the same Message-ID. A link with a
token is encrypted with the key ring, and erased once the message is sent, or once the token is
spent or expired; a message that was given up keeps it until then (ASVS 6.3.7, 6.4.1, 16.2.5; NIST
SP 800-63B-4 section 4.6). Besides the usual files stand `messages`, which renders templates, and
`smtp`, which talks to the mail server.
"""

from bienvenue.features.mail import commands as commands
from bienvenue.features.mail.errors import LinkGone, NoSuchMessage, TooManyEmails
from bienvenue.features.mail.messages import MessageText
from bienvenue.features.mail.models import AN_HOUR, GAP, Message, MessageState
from bienvenue.features.mail.operations import Mail
from bienvenue.features.mail.pages import EmailSent
from bienvenue.features.mail.smtp import MailSettings, SendProblem

__all__ = [
    "AN_HOUR",
    "GAP",
    "EmailSent",
    "LinkGone",
    "Mail",
    "MailSettings",
    "Message",
    "MessageState",
    "MessageText",
    "NoSuchMessage",
    "SendProblem",
    "TooManyEmails",
]
