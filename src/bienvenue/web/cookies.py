"""The cookies of the service: their names, their attributes, and a strict reading of them.

`session_id` over plain HTTP; `__Host-session_id`, Secure, whenever the base URL is https; and
`__Secure-session_id` when `BIENVENUE_COOKIE_DOMAIN` shares it (ASVS 3.3.1, 3.3.3).
"""

import base64
import re
from collections.abc import Iterable
from functools import lru_cache

from flask import Request, Response

from bienvenue import tokens
from bienvenue.settings import Settings

_WORD = re.compile(r"[A-Za-z-]{1,40}", re.ASCII)

SESSION = "session_id"
#: Says that this browser signed in to an account before; opens nothing.
DEVICE = "device_id"
#: Names a sign-in in progress; opens nothing but the pages of its further factors.
AUTHENTICATION = "authentication"
#: Names a browser that is not signed in, for its form tokens; opens nothing.
FORM = "form_id"
#: The preferences of a browser; they tell nothing else. An application may have its own of the
#: names without the prefix.
LANGUAGE, THEME = "bienvenue_language", "bienvenue_theme"
#: Names the message that the page after a redirect shows once; opens nothing.
FLASH = "flash"
#: Holds, encrypted, what a person typed into a form before the service asked them to sign in.
DRAFT = "draft"
#: Holds, encrypted, what the page after a form shows, so that a reload sends no form again.
OUTCOME = "outcome"
#: Names the page that a browser wanted before it had to sign in; opens nothing.
RETURN_TO = "return_to"
#: Seconds for which a browser keeps it: as long as the link of a reset works by default.
_RETURN_LIFETIME = 3600
#: Seconds for which a sign-in may be in progress.
AUTHENTICATION_LIFETIME = 600
#: How the name of a cookie that holds the token of an emailed link ends.
LINK = "_token"
#: Seconds for which a browser keeps the token of an emailed link.
LINK_LIFETIME = 600
#: Seconds for which a flash message waits for its page.
_FLASH_LIFETIME = 60


def is_ours(name: str) -> bool:
    """Tell whether the service itself has a cookie of this name."""
    ours = {
        SESSION,
        DEVICE,
        AUTHENTICATION,
        FORM,
        LANGUAGE,
        THEME,
        FLASH,
        DRAFT,
        OUTCOME,
        RETURN_TO,
    }
    return name in ours or name.endswith(LINK)


def link(purpose: str) -> str:
    """Name the cookie that holds the token of an emailed link, one for each purpose."""
    return f"{purpose}{LINK}"


@lru_cache(256)
def name_of(cookie: str, settings: Settings) -> str:
    """Return the full name of a cookie, with the prefix a browser enforces."""
    if not settings.https:
        return cookie
    if cookie == SESSION and settings.core.cookie_domain:
        return f"__Secure-{cookie}"
    return f"__Host-{cookie}"


def token_in(header: str, name: str) -> str | None:
    """Return the token that a Cookie header has under a full name (RFC 6265 section 4.2.1).

    None for no such cookie, for several with different values, and for a value that is no token.
    The edge and Flask both read tokens here, so that they cannot disagree.
    """
    found: set[str] = set()
    for pair in header.split(";"):
        key, _, value = pair.partition("=")
        # The whole name counts: a sibling host can set a cookie whose name ends like ours.
        if key.strip(" \t") == name:
            found.add(value.strip(" \t"))
    token = found.pop() if len(found) == 1 else None
    return token if tokens.well_formed(token) else None


def read(request: Request, cookie: str, settings: Settings) -> str | None:
    """Return the token of a cookie as `token_in` reads it, or None."""
    return token_in(request.environ.get("HTTP_COOKIE", ""), name_of(cookie, settings))


def chosen(request: Request, cookie: str, settings: Settings) -> str | None:
    """Return the word that a browser keeps in a cookie, or None when it is no word."""
    found = request.cookies.get(name_of(cookie, settings), "")
    return found if _WORD.fullmatch(found) else None


def bears_any(request: Request, settings: Settings, others: Iterable[str]) -> bool:
    """Tell whether a request has any cookie of this service, whatever its value.

    `others` are the cookies beside that of the session and that of forms.
    """
    ours = (SESSION, FORM, *others)
    return any(name_of(cookie, settings) in request.cookies for cookie in ours)


def write(
    response: Response, cookie: str, token: str, settings: Settings, lifetime: int | None
) -> None:
    """Set a cookie that scripts cannot read, for `lifetime` seconds or until the browser closes."""
    response.set_cookie(
        name_of(cookie, settings),
        token,
        max_age=lifetime,
        path="/",
        domain=settings.core.cookie_domain if cookie == SESSION else None,
        secure=settings.https,
        httponly=True,
        samesite="Lax",
    )


def clear(response: Response, cookie: str, settings: Settings) -> None:
    """Delete a cookie from the browser."""
    response.delete_cookie(
        name_of(cookie, settings),
        path="/",
        domain=settings.core.cookie_domain if cookie == SESSION else None,
        secure=settings.https,
        httponly=True,
        samesite="Lax",
    )


def set_flash(response: Response, name: str | None, settings: Settings) -> None:
    """Let the page after this redirect show the message of this name, if there is one."""
    if name is not None:
        write(response, FLASH, name, settings, _FLASH_LIFETIME)


def clear_flash(request: Request, response: Response, settings: Settings) -> None:
    """Delete the flash message of a request: a page shows it once."""
    if chosen(request, FLASH, settings) is not None:
        clear(response, FLASH, settings)


def set_return(response: Response, path: str, settings: Settings) -> None:
    """Let the browser keep the page it wanted, until the sign-in that a reset leads to, say."""
    # The characters of a path that end the value of a cookie are none in this alphabet.
    kept = base64.urlsafe_b64encode(path.encode()).decode()
    write(response, RETURN_TO, kept, settings, _RETURN_LIFETIME)


def wanted_return(request: Request, settings: Settings) -> str | None:
    """Return the page that a browser wanted before, not checked yet; None when it keeps none."""
    kept = request.cookies.get(name_of(RETURN_TO, settings), "")
    try:
        return base64.urlsafe_b64decode(kept.encode("ascii")).decode() or None
    except ValueError:
        return None


def clear_return(request: Request, response: Response, settings: Settings) -> None:
    """Delete the page that a browser wanted before: it is there, or signed out."""
    if name_of(RETURN_TO, settings) in request.cookies:
        clear(response, RETURN_TO, settings)
