"""Normalisation: texts and emails as people type them, in one form before anything uses them."""

import unicodedata

from bienvenue.errors import Refusal

LONGEST_EMAIL = 254
"""Octets of the longest path in SMTP (RFC 5321 section 4.5.3.1.3), without its brackets."""


MOST_MARKS = 30
"""Combining marks that may follow each other (UAX #15 section 13, the Stream-Safe Text Format)."""

#: Characters of combining class 0 whose decomposition begins with a combining mark.
_MARKS_TOO = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")


#: Domains that only the mail server of a private network reaches (RFC 6762; RFC 8375), and what a
#: validator that knows them as special reads in their place.
_PRIVATE = ((".local", ".lan"), ("home.arpa", "home.lan"))


#: How the name of a service account ends. No host has this domain (RFC 6761 section 6.4), and
#: `email` refuses it, so no person can register, ask for a reset or be sent an email under it.
SERVICE = "@service.invalid"


class MalformedText(Refusal):
    """The text holds a NUL, half of a surrogate pair, or a mark upon mark without end."""

    code = "malformed_text"
    message = "This text contains a character that can't be used."


class MalformedEmail(Refusal):
    """The text is no email address to which a message can be sent."""

    code = "malformed_email"
    message = "Enter an email address, like name@example.org."


class PrivateEmail(MalformedEmail):
    """The email is of a private network, and the settings do not allow that."""

    status = 422
    code = "private_email"
    message = "Emails at .local and home.arpa can't be used here: they only work in one network."


def text(value: str, field: str) -> str:
    """Return a text that every part of the service can store and normalise.

    Raises MalformedText for NUL, which PostgreSQL cannot store and at which some versions of bcrypt
    stop; for lone surrogates, which UTF-8 cannot encode; and for more than MOST_MARKS combining
    marks in a row, which no language writes: ordering them takes time that is quadratic in their
    number, and holds the interpreter meanwhile (C18).
    """
    try:
        value.encode()
    except (UnicodeEncodeError, AttributeError):
        raise MalformedText(field) from None
    if "\0" in value:
        raise MalformedText(field)
    if not value.isascii() and _has_endless_marks(value):
        raise MalformedText(field)
    return value


def _has_endless_marks(value: str) -> bool:
    run = 0
    for char in value:
        run = run + 1 if unicodedata.combining(char) or char in _MARKS_TOO else 0
        if run > MOST_MARKS:
            return True
    return False


def email(value: str, field: str = "email") -> str:
    """Return an email in the one form that is stored and compared: ASCII, lower case.

    An international domain becomes its ASCII form (RFC 5891). Only ASCII is lower-cased, because
    other characters lower-case differently in Python and in a database; such emails are refused.
    Whether an account may have an email of a private network is asked of `Accounts.new_email`.
    Raises MalformedText or MalformedEmail.
    """
    typed = text(value, field).strip()
    if len(typed) > LONGEST_EMAIL:
        raise MalformedEmail(field)
    # Loading it takes a tenth of a second, and most commands do not need it.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 (as above)

    private, read = _private_end(typed)
    given = typed[: len(typed) - len(private)] + read
    try:
        found = validate_email(given, allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError:
        raise MalformedEmail(field) from None
    # Without SMTPUTF8 every email has an ASCII form, and its length was checked too.
    ascii_email = str(found.ascii_email).lower()
    return ascii_email[: len(ascii_email) - len(read)] + private


def _private_end(email: str) -> tuple[str, str]:
    """Return the end of a private email, and what is read in its place; of another one nothing."""
    domain = email.rpartition("@")[2].lower()
    for end, read in _PRIVATE:
        if f".{domain}".endswith(f".{end.removeprefix('.')}") and domain != "local":
            return end, read
    return "", ""


def is_service(email: str) -> bool:
    """Tell whether the name of an account is that of a service, and no email at all."""
    return email.endswith(SERVICE)


def is_private(email: str) -> bool:
    """Tell whether only the mail server of a private network reaches a normalised email."""
    return _private_end(email) != ("", "")
