"""The checks of emails: whether they are sent, whether encrypted, and whether any failed."""

from bienvenue.checkup.context import CheckupContext, check
from bienvenue.db import DatabaseUnavailable
from bienvenue.finding import Severity
from bienvenue.schema import State


@check(
    "BV024",
    Severity.ERROR,
    "Set BIENVENUE_SMTP_SECURITY=starttls or tls, or use a mail server of this machine.",
)
def emails_in_clear(around: CheckupContext) -> str | None:
    """Find emails that cross a network unencrypted, with links that open accounts."""
    mail = around.auth.mail.settings
    if mail.smtp_host is None or mail.smtp_security != "none" or mail.on_this_machine:
        return None
    return "Emails with links that open accounts cross the network unencrypted."


@check(
    "BV025",
    Severity.WARNING,
    "Set BIENVENUE_SMTP_HOST and BIENVENUE_MAIL_FROM; `bienvenue outbox test EMAIL` tries them.",
)
def no_emails(around: CheckupContext) -> str | None:
    """Find a public service that sends no email."""
    if around.auth.mail.sends_mail or around.base_is_here:
        return None
    return "No mail server is set: a user who forgot the password cannot reset it."


@check(
    "BV026",
    Severity.WARNING,
    "Read why with `bienvenue outbox`; try again with `bienvenue outbox resend`, or withdraw them "
    "with `bienvenue outbox withdraw`.",
)
def failed_emails(around: CheckupContext) -> str | None:
    """Find emails that failed for good."""
    if around.database is not State.CURRENT:
        return None
    try:
        failed = around.auth.mail.undelivered()
    except DatabaseUnavailable:
        return None
    return f"Emails that failed in the last thirty days: {failed}." if failed else None


@check(
    "BV027",
    Severity.WARNING,
    "Mend what the reason names; they are tried again by themselves, at once with `bienvenue "
    "outbox resend`.",
)
def delayed_emails(around: CheckupContext) -> str | None:
    """Find emails that wait because sending them failed."""
    if around.database is not State.CURRENT:
        return None
    try:
        delayed, problem = around.auth.mail.delayed()
    except DatabaseUnavailable:
        return None
    if not delayed:
        return None
    return f"Emails that wait after a failed try: {delayed}. The latest reason: {problem}."
