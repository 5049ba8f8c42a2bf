"""The current names of events and facts that earlier versions wrote under other names.

The bytes of a row are sealed, so a row keeps the names it was written with. Reading a row
translates them, here and nowhere else.
"""

from collections.abc import Mapping
from typing import Any

EVENTS = {
    "account.closing": "account.closed",
    "account.kept": "account.reopened",
    "email.asked": "email_change.requested",
    "email.proven": "email.verified",
    "gate.refused": "hash_queue.refused",
    "letter.failed": "email.failed",
    "letter.written": "email.queued",
    "limit.reached": "rate_limit.reached",
    "registration.asked": "registration.requested",
    "reset.asked": "password_reset.requested",
    "second_email.added": "notification_email.added",
    "second_email.asked": "notification_email.requested",
    "second_email.removed": "notification_email.removed",
    "session.confirmed": "session.reauthenticated",
}

FACTS = {
    "letter": "message",
    "letter_uid": "message_uid",
    "second_email": "notification_email",
    "why": "reason",
}

#: Former values of a fact, by the former name of the fact.
VALUES: Mapping[str, Mapping[str, str]] = {
    "letter": {
        "account_closed": "account_closed_notice",
        "account_closing": "account_closed",
        "account_kept": "account_reopened",
        "email_proof": "new_email_verification",
        "email_tried": "new_email_taken",
        "password_reset": "password_was_reset",
        "proof": "registration",
        "reset": "password_reset",
        "second_email_added": "notification_email_added",
        "second_email_proof": "notification_email_verification",
        "second_email_removed": "notification_email_removed",
    },
    "policy": {"gate": "hash_queue"},
    "why": {"account closing": "account closed"},
}


def event(name: str) -> str:
    """Return the current name of an event."""
    return EVENTS.get(name, name)


def facts(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a row under their current names."""
    return {
        FACTS.get(name, name): VALUES.get(name, {}).get(str(value), value)
        for name, value in written.items()
    }
