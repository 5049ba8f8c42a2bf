"""The checks on letters: whether they leave, and whether they arrive."""

from bienvenue.checkup.circumstances import Circumstances, Severity, check
from bienvenue.db import DatabaseUnavailable
from bienvenue.schema import State


@check(
    "BV024",
    Severity.ERROR,
    "Set BIENVENUE_SMTP_SECURITY=starttls or tls, or use a mail server of this machine.",
)
def letters_in_clear(around: Circumstances) -> str | None:
    """Find letters that cross a network unencrypted, with links that open accounts."""
    mail = around.auth.mail.settings
    if mail.smtp_host is None or mail.smtp_security != "none" or mail.on_this_machine:
        return None
    return "Letters with links that open accounts cross the network readable."


@check(
    "BV025",
    Severity.WARNING,
    "Set BIENVENUE_SMTP_HOST and BIENVENUE_MAIL_FROM; `bienvenue outbox test EMAIL` tries them.",
)
def no_letters(around: Circumstances) -> str | None:
    """Find a service for the public that cannot write to people."""
    if around.auth.mail.leaves or around.base_is_here:
        return None
    return "No mail server is set: nobody who forgot a password gets back in."


@check(
    "BV026",
    Severity.WARNING,
    "Read why with `bienvenue outbox`, and try again with `bienvenue outbox resend`.",
)
def dead_letters(around: Circumstances) -> str | None:
    """Find letters that were given up."""
    if around.database is not State.CURRENT:
        return None
    try:
        dead = around.auth.mail.undelivered()
    except DatabaseUnavailable:
        return None
    return f"Letters were given up in the last thirty days: {dead}." if dead else None
