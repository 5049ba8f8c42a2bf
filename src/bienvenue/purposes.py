"""Purposes: the word that each digest, MAC and cipher is bound to.

These words are part of stored values: another word would make every stored token, count and
encrypted value of its kind unknown. So they stay as the first version wrote them, even where the
code uses another word today. A new purpose gets the word of its feature.
"""

# --- digests of secrets that leave the service (tokens.digest) ----------------------------------

SESSION = "session"
KNOWN_DEVICE = "device"
PASSWORD_RESET = "reset"  # noqa: S105 (a word, no secret)
VERIFICATION = "proof"
INVITATION = "invitation"
EMAIL_CHANGE = "email"
EMAIL_RESTORE = "undo"
NOTIFICATION_EMAIL = "second"
REOPENING = "leaving"
FORM_COOKIE = "form"

# --- MACs and ciphers of the key ring -----------------------------------------------------------

AUDIT_BATCH = "audit"
EMAILED_LINK = "letter"
FORM_TOKEN = "form"  # noqa: S105 (as above)
OUTBOX_PAGE = "outbox page"

# --- MACs that stand for an email or a network in a table ---------------------------------------


def rate_limit(kind: str) -> str:
    """Return the purpose of a count of failures: consecutive, known, unknown or network."""
    return f"limit {_OF_BEFORE.get(kind, kind)}"


def emails(kind: str) -> str:
    """Return the purpose of a count of emails of a kind; such a count lives for an hour."""
    return f"letter {kind}"


# --- purposes that came later: their keys are derived by HKDF (key_ring.py) -------------------

DRAFT = "draft"

_OF_BEFORE = {"unknown": "stranger"}
_FIRST = {AUDIT_BATCH, EMAILED_LINK, FORM_TOKEN, OUTBOX_PAGE}


def is_of_first_version(purpose: str) -> bool:
    """Tell whether the first version made MACs and ciphers of this purpose, which are stored."""
    return purpose in _FIRST or purpose.startswith(("limit ", "letter "))
