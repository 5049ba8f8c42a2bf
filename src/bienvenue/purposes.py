"""Purposes: the text that each digest, MAC and cipher is bound to.

The texts are part of stored values: another text would invalidate all stored tokens, counts and
encrypted values of its kind. They stay as the first version wrote them, even where the code uses
another term now. A new purpose is named after its feature.
"""

# --- digests of tokens (tokens.digest) ----------------------------------------------------------

SESSION = "session"
KNOWN_DEVICE = "device"
PASSWORD_RESET = "reset"  # noqa: S105 (a name, no secret)
VERIFICATION = "proof"
INVITATION = "invitation"
EMAIL_CHANGE = "email"
EMAIL_RESTORE = "undo"
NOTIFICATION_EMAIL = "second"
REOPENING = "leaving"
FORM_COOKIE = "form"
AUTHENTICATION = "authentication"
REGISTERING_BROWSER = "registering browser"
ACCESS_TOKEN = "access token"  # noqa: S105 (a name, no secret)

# --- MACs and ciphers of the key ring -----------------------------------------------------------

AUDIT_BATCH = "audit"
EMAILED_LINK = "letter"
FORM_TOKEN = "form"  # noqa: S105 (as above)
OUTBOX_PAGE = "outbox page"

# --- MACs of emails and networks, as the keys of a table ----------------------------------------


def rate_limit(kind: str) -> str:
    """Return the purpose of a count of failures, whose kind is one of those of rate_limits."""
    return f"limit {_OF_BEFORE.get(kind, kind)}"


def emails(kind: str) -> str:
    """Return the purpose of a count of emails of a kind; such a count lasts for an hour."""
    return f"letter {kind}"


# --- later purposes, whose keys HKDF derives (key_ring.py) --------------------------------------

DRAFT = "draft"
DRAFT_OWNER = "draft owner"
OUTCOME = "outcome"

_OF_BEFORE = {"unknown": "stranger"}
_FIRST = {AUDIT_BATCH, EMAILED_LINK, FORM_TOKEN, OUTBOX_PAGE}


def is_of_first_version(purpose: str) -> bool:
    """Return whether the first version stored MACs and ciphers of this purpose."""
    return purpose in _FIRST or purpose.startswith(("limit ", "letter "))
