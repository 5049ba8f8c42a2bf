"""Normalisation: texts and emails as people type them, in one form before anything uses them."""

from bienvenue.errors import Refusal

LONGEST_EMAIL = 254
"""Octets of the longest path in SMTP (RFC 5321 section 4.5.3.1.3), without its brackets."""


class MalformedText(Refusal):
    """The text holds a NUL or half of a surrogate pair."""

    code = "malformed_text"
    message = "This text contains a character that can't be used."


class MalformedEmail(Refusal):
    """The text is no email address to which a message can be sent."""

    code = "malformed_email"
    message = "Enter an email address, like name@example.org."


def text(value: str, field: str) -> str:
    """Return a text that every part of the service can store.

    Raises MalformedText for NUL, which PostgreSQL cannot store and at which some versions of bcrypt
    stop, and for lone surrogates, which UTF-8 cannot encode.
    """
    try:
        value.encode()
    except (UnicodeEncodeError, AttributeError):
        raise MalformedText(field) from None
    if "\0" in value:
        raise MalformedText(field)
    return value


def email(value: str, field: str = "email") -> str:
    """Return an email in the one form that is stored and compared: ASCII, lower case.

    An international domain becomes its ASCII form (RFC 5891). Only ASCII is lower-cased, because
    other characters lower-case differently in Python and in a database; such emails are refused.
    Raises MalformedText or MalformedEmail.
    """
    plain = text(value, field).strip()
    if len(plain) > LONGEST_EMAIL:
        raise MalformedEmail(field)
    # Loading it takes a tenth of a second, and most commands do not need it.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 (as above)

    try:
        found = validate_email(plain, allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError:
        raise MalformedEmail(field) from None
    # Without SMTPUTF8 every email has an ASCII form, and its length was checked too.
    return str(found.ascii_email).lower()
