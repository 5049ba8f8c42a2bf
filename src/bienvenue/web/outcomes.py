"""Outcomes: what came of a form, shown on a page of its own, so that a reload repeats nothing.

A browser that sent a form is redirected (RFC 9110 section 15.4.4), and keeps in an encrypted cookie
what that page shows. Signing in or out deletes it: it may hold the email of the person before.
"""

import base64
import json
import secrets
from typing import Any

from flask import Request, Response

from bienvenue import clock, purposes
from bienvenue.key_ring import KeyProblem, KeyRing
from bienvenue.settings import Settings
from bienvenue.version import VERSION
from bienvenue.web import cookies
from bienvenue.web.page import Answer, Reply
from bienvenue.web.refusals import NotFound

LIFETIME = 3600
"""Seconds for which a reload shows the same."""

ONCE = 600
"""Seconds for which it shows a secret that is shown once."""

MOST = 2000
"""Bytes of an outcome: a browser takes cookies of four thousand."""

PATH = "/bienvenue/outcome"
"""Below a path of ours, so that no host application has another page there."""


class OutcomeOver(NotFound):
    """The browser keeps no outcome of this name any more."""

    redirect_to = "/"


def kept(keys: KeyRing, answer: Answer) -> tuple[str, str] | None:
    """Return the path of the page that shows an answer, and the cookie it needs.

    None for an answer that a cookie cannot hold.
    """
    name = secrets.token_hex(4)
    value = None if answer.value is None else answer.value.model_dump(mode="json")
    outcome = {
        "name": name,
        "until": clock.now() + (ONCE if answer.once else LIFETIME),
        "version": VERSION,
        "template": answer.template,
        "value": value,
        "once": answer.once,
    }
    text = json.dumps(outcome).encode()
    if len(text) > MOST:
        return None
    return f"{PATH}/{name}", base64.urlsafe_b64encode(keys.encrypt(purposes.OUTCOME, text)).decode()


def shown(
    request: Request, keys: KeyRing, settings: Settings, name: str, reply: type[Reply]
) -> Answer:
    """Return the answer that a browser keeps under a name, as a `reply`. Raises OutcomeOver."""
    found = request.cookies.get(cookies.name_of(cookies.OUTCOME, settings), "")
    try:
        encrypted = base64.urlsafe_b64decode(found.encode("ascii"))
        outcome: dict[str, Any] = json.loads(keys.decrypt(purposes.OUTCOME, encrypted))
    except (ValueError, KeyProblem):
        raise OutcomeOver from None
    # The templates of another version may want other values.
    if (outcome["name"], outcome.get("version")) != (name, VERSION):
        raise OutcomeOver
    if not 0 < outcome["until"] - clock.now() <= LIFETIME + clock.APART:
        raise OutcomeOver
    value = reply.model_validate(outcome["value"] or {})
    return Answer(value, template=outcome["template"], once=outcome.get("once", False))


def discard(request: Request, response: Response, settings: Settings) -> None:
    """Delete the outcome that a browser keeps, if it keeps one."""
    if cookies.name_of(cookies.OUTCOME, settings) in request.cookies:
        cookies.clear(response, cookies.OUTCOME, settings)
