"""Bodies: form fields or JSON, read as named values with one meaning.

A body that two readers could understand differently is refused: duplicate names, NaN, invalid UTF-8
(ASVS 1.5.3, 15.3.5, 15.3.7). No refusal repeats a value.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, NoReturn
from urllib.parse import parse_qsl, unquote_to_bytes

from flask import Request
from pydantic import ValidationError
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from bienvenue import normalize
from bienvenue.errors import Refusal
from bienvenue.web.page import Form

LARGEST_BODY = 64 * 1024
"""Bytes of a request body."""

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
METHOD = "_method"
"""The field of a form that names the method it stands for, since a form can only POST."""

_MOST_FIELDS = 100


class MalformedBody(Refusal):
    """The body does not have the form that its content type names."""

    code = "malformed_body"
    message = "The body of this request can't be read."


class DuplicateField(Refusal):
    """A name occurs twice, so two readers could use different values."""

    code = "duplicate_field"
    message = "This field appears twice."


class BodyTooLarge(Refusal):
    """The body has more than 64 KiB."""

    status = 413
    code = "body_too_large"
    message = "The body of this request is larger than 64 KiB."


class UnsupportedMediaType(Refusal):
    """The body is neither form fields nor JSON."""

    status = 415
    code = "unsupported_media_type"
    message = f"Send form fields ({FORM}) or JSON ({JSON})."


class InvalidFields(Refusal):
    """Fields are missing, unknown, empty or of the wrong type; `errors` lists them all."""

    code = "invalid_fields"
    #: The codes it can have: that of the first field that is wrong.
    codes: ClassVar = (
        "missing_field",
        "unknown_field",
        "wrong_type",
        "empty_field",
        "too_long",
        "wrong_value",
    )
    message = "Some fields are invalid."

    def __init__(self, errors: Sequence[dict[str, str]]) -> None:
        """Take every error with its field, code and message; the refusal has those of the first."""
        super().__init__(errors[0]["field"], message=errors[0]["message"])
        self.code = errors[0]["code"]  # type: ignore[misc]  # the class's is the fallback's
        self.extensions["errors"] = list(errors)


WORDS = {
    "missing": ("missing_field", "This field is missing."),
    "extra_forbidden": ("unknown_field", "This request has no field with this name."),
    "string_type": ("wrong_type", "This field must be text."),
    "string_too_short": ("empty_field", "Fill in this field."),
    "too_short": ("empty_field", "Fill in this field."),
    "string_too_long": ("too_long", "This is too long."),
    "too_long": ("too_long", "This is too long."),
} | dict.fromkeys(
    (
        "literal_error",
        "value_error",
        "string_pattern_mismatch",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
    ),
    ("wrong_value", "This field has a value that isn't allowed."),
)
ANOTHER_TYPE = ("wrong_type", "This field has the wrong type.")


def sent(request: Request) -> dict[str, Any]:
    """Return the body as named values. Raises the refusals of this file."""
    # Werkzeug silently cuts a body without a length at the maximum, so allow one byte more.
    request.max_content_length = LARGEST_BODY + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise BodyTooLarge from None
    except ClientDisconnected:
        raise MalformedBody(message="The body of this request was cut short.") from None
    if len(body) > LARGEST_BODY:
        raise BodyTooLarge
    if not body:
        return {}
    if request.mimetype == JSON:
        return _json(body)
    if request.mimetype == FORM:
        return _pairs(body)
    raise UnsupportedMediaType


def tunnelled(form: bytes) -> str | None:
    """Return the method that a form stands for; None when it names none or cannot be read."""
    try:
        return _pairs(form).get(METHOD)
    except Refusal:
        return None


def query_values(request: Request) -> dict[str, str]:
    """Return the query of a request as named values. Raises MalformedBody or DuplicateField."""
    return _pairs(request.query_string) if request.query_string else {}


def link_values(request: Request, names: Collection[str]) -> dict[str, str]:
    """Return the parameters of these names in the URL of a link, and ignore all others.

    A link gathers parameters on its way, well-formed or not, from mail programs and from those who
    count clicks. Raises MalformedBody or DuplicateField for a parameter of one of these names.
    """
    values: dict[str, str] = {}
    for pair in request.query_string.split(b"&") if names else ():
        key, _, value = pair.replace(b"+", b" ").partition(b"=")
        name = unquote_to_bytes(key).decode("utf-8", "replace")
        if name not in names:
            continue
        if name in values:
            raise DuplicateField(name)
        try:
            values[name] = unquote_to_bytes(value).decode()
        except ValueError:
            raise MalformedBody(message="The address of this page can't be read.") from None
    return values


def check(model: type[Form], values: dict[str, Any]) -> Form:
    """Return named values as the form of a page. Raises InvalidFields or MalformedText."""
    for name, value in values.items():
        if isinstance(value, str):
            normalize.text(value, _printable(name))
    try:
        return model.model_validate(values, strict=True)
    except ValidationError as error:
        _refuse(error)


def _refuse(error: ValidationError) -> NoReturn:
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    raise InvalidFields(
        [
            dict(
                zip(
                    ("code", "message"),
                    WORDS.get(problem["type"], ANOTHER_TYPE),
                    strict=True,
                ),
                field=_printable(str(problem["loc"][0]) if problem["loc"] else ""),
            )
            for problem in problems[:_MOST_FIELDS]
        ]
    ) from None


def _printable(name: str) -> str:
    """Return the name of a field as a refusal may repeat it: ASCII, 64 characters at most."""
    return name.encode("ascii", "replace").decode()[:64].replace("\0", "?")


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_constant)
    except (ValueError, RecursionError):
        # Bad UTF-8, bad JSON, NaN, a number of thousands of digits, arrays thousands deep.
        raise MalformedBody from None
    if not isinstance(value, dict):
        raise MalformedBody(message="The body of this request isn't a JSON object.")
    return value


def _pairs(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise MalformedBody from None
    return _once(pairs)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MOST_FIELDS:
        raise MalformedBody(message="This request has more than {most} fields.", most=_MOST_FIELDS)
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise DuplicateField(_printable(name))
        values[name] = value
    return values


def _constant(_name: str) -> NoReturn:
    raise ValueError("NaN and infinities are no JSON (RFC 8259 section 6)")
