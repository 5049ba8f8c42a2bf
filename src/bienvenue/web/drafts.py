"""What was typed when the session had ended meanwhile, until the form is there again.

The browser keeps it for ten minutes, sealed, for the path of that form alone, and the first page
that shows it takes it away. Passwords are never among it.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from flask import Request, Response

from bienvenue import clock, purposes
from bienvenue.keys import KeyProblem, KeyRing
from bienvenue.settings import Settings
from bienvenue.web import cookies

LIFETIME = 600
"""Seconds for which it is kept."""

MOST = 2000
"""Bytes of what is kept: a browser takes cookies of four thousand."""


def keep(
    response: Response, keys: KeyRing, settings: Settings, path: str, typed: Mapping[str, str]
) -> None:
    """Let the browser keep what was typed into the form of a path; nothing, if it is too long."""
    held = {"path": path, "until": clock.now() + LIFETIME, "typed": dict(typed)}
    said = json.dumps(held).encode()
    if typed and len(said) <= MOST:
        sealed = base64.urlsafe_b64encode(keys.seal(purposes.DRAFT, said)).decode()
        cookies.write(response, cookies.TYPED, sealed, settings, LIFETIME)


def typed(request: Request, keys: KeyRing, settings: Settings, path: str) -> dict[str, str]:
    """Give what the browser keeps for the form of a path, if it is there and in time."""
    found = request.cookies.get(cookies.name_of(cookies.TYPED, settings))
    if found is None:
        return {}
    try:
        sealed = base64.urlsafe_b64decode(found.encode("ascii"))
        held: dict[str, Any] = json.loads(keys.open(purposes.DRAFT, sealed))
    except (ValueError, KeyProblem):
        return {}
    in_time = held["path"] == path and clock.now() < held["until"]
    return dict(held["typed"]) if in_time else {}


def forget(request: Request, response: Response, settings: Settings) -> None:
    """Take it away: it is shown once, and to nobody after its person signed out."""
    if cookies.name_of(cookies.TYPED, settings) in request.cookies:
        cookies.clear(response, cookies.TYPED, settings)
