"""Drafts: what a person typed into a form whose session had ended, until the form is shown again.

The browser keeps a draft for ten minutes, encrypted, for the path of that form alone and for the
user who was shown it, and the first page that shows it deletes it. A draft never holds a password.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from flask import Request, Response

from bienvenue import clock, purposes
from bienvenue.key_ring import KeyProblem, KeyRing
from bienvenue.settings import Settings
from bienvenue.web import cookies

LIFETIME = 600
"""Seconds for which a browser keeps a draft."""

MOST = 2000
"""Bytes of a draft: a browser takes cookies of four thousand."""

#: Where the environment of a request keeps who was shown the form that it sends.
OWNER = "bienvenue.form_owner"


def owner(keys: KeyRing, user_uid: str | None) -> str:
    """Return the name under which forms and drafts know a user; "" for a visitor."""
    if user_uid is None:
        return ""
    return base64.urlsafe_b64encode(keys.mac(purposes.DRAFT_OWNER, user_uid.encode())).decode()


def keep(
    request: Request,
    response: Response,
    keys: KeyRing,
    settings: Settings,
    *,
    path: str,
    typed: Mapping[str, str],
) -> None:
    """Let the browser keep what was typed into the form of a path, unless it is too long."""
    draft = {
        "path": path,
        "until": clock.now() + LIFETIME,
        "typed": dict(typed),
        # Their session may have ended, so only the form itself still says who they are.
        "owner": request.environ.get(OWNER, ""),
    }
    text = json.dumps(draft).encode()
    if typed and len(text) <= MOST:
        encrypted = base64.urlsafe_b64encode(keys.encrypt(purposes.DRAFT, text)).decode()
        cookies.write(response, cookies.DRAFT, encrypted, settings, LIFETIME)


def typed(
    request: Request, keys: KeyRing, settings: Settings, path: str, user_uid: str | None
) -> dict[str, str]:
    """Return the draft a browser keeps for the form of a path; empty when none is in time.

    The draft of another user stays unseen: people share browsers.
    """
    found = request.cookies.get(cookies.name_of(cookies.DRAFT, settings))
    if found is None:
        return {}
    try:
        encrypted = base64.urlsafe_b64decode(found.encode("ascii"))
        draft: dict[str, Any] = json.loads(keys.decrypt(purposes.DRAFT, encrypted))
    except (ValueError, KeyProblem):
        return {}
    left = draft["until"] - clock.now()
    in_time = draft["path"] == path and 0 < left <= LIFETIME + clock.APART
    theirs = draft.get("owner") == owner(keys, user_uid)
    return dict(draft["typed"]) if in_time and theirs else {}


def discard(request: Request, response: Response, settings: Settings) -> None:
    """Delete the draft: a page shows it once, and signing out deletes it too."""
    if cookies.name_of(cookies.DRAFT, settings) in request.cookies:
        cookies.clear(response, cookies.DRAFT, settings)
