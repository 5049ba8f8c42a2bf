"""What people type, made plain once, before anything else is done with it."""

from bienvenue.feature import Refusal

LONGEST_EMAIL = 254
"""Octets of an email path that SMTP carries (RFC 5321 section 4.5.3.1.3)."""


class MalformedText(Refusal):
    """The text holds a NUL or half of a surrogate pair."""

    code = "malformed_text"
    message = "This text holds a character that no keyboard makes."


class MalformedEmail(Refusal):
    """The text is no email to which a letter can be sent."""

    code = "malformed_email"
    message = "This is not an email, as name@example.org."


def text(value: str, field: str) -> str:
    """Return a text that every part of the service can hold.

    Raises MalformedText for NUL, which PostgreSQL cannot store and other bcrypts stop at, and for
    lone surrogates, which no encoding carries.
    """
    try:
        value.encode()
    except (UnicodeEncodeError, AttributeError):
        raise MalformedText(field) from None
    if "\0" in value:
        raise MalformedText(field)
    return value


def email(value: str, field: str = "email") -> str:
    """Return an email in the one spelling it is stored and compared in: ASCII, lower case.

    An international domain is written in its ASCII form. Lower-casing is exact because it is of
    ASCII alone: letters that lower-case differently in Python and in a database are refused.
    Raises MalformedText or MalformedEmail.
    """
    plain = text(value, field).strip()
    if len(plain) > LONGEST_EMAIL:
        raise MalformedEmail(field)
    # Loading it takes a tenth of a second, which most commands need not wait for.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 (as above)

    try:
        found = validate_email(plain, allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError:
        raise MalformedEmail(field) from None
    # Without SMTPUTF8 there is an ASCII form of every email, and that form was measured too.
    return str(found.ascii_email).lower()
