"""The cookies of the service: their names, their attributes, and reading them warily.

`session_id` over plain HTTP; `__Host-session_id`, Secure, whenever the base URL is https; and
`__Secure-session_id` when `BIENVENUE_COOKIE_DOMAIN` shares it (ASVS 3.3.1, 3.3.3).
"""

import re
from collections.abc import Iterable

from flask import Request, Response

from bienvenue import tokens
from bienvenue.settings import Settings

_WORD = re.compile(r"[A-Za-z-]{1,16}", re.ASCII)

SESSION = "session_id"
#: Says that this browser signed in to an account before; opens nothing.
DEVICE = "device_id"
#: Names a browser that is not signed in, for its form tokens; opens nothing.
FORM = "form_id"
#: What this browser's person likes; whoever reads them knows that and nothing else.
LANGUAGE, THEME = "language", "theme"
#: Names what the page after a redirect tells once; opens nothing.
FLASH = "flash"
#: Holds, sealed, what was typed into a form when the session had ended.
TYPED = "typed"
#: Seconds for which a browser keeps the token of a letter's link.
LINK_LIFETIME = 600


def link(purpose: str) -> str:
    """Name the cookie that holds the token of a letter's link, one for each purpose."""
    return f"{purpose}_token"


def name_of(cookie: str, settings: Settings) -> str:
    """Give the full name of a cookie, with the prefix a browser enforces."""
    if not settings.https:
        return cookie
    if cookie == SESSION and settings.core.cookie_domain:
        return f"__Secure-{cookie}"
    return f"__Host-{cookie}"


def read(request: Request, cookie: str, settings: Settings) -> str | None:
    """Give the token a browser sent, or None when there is none, or several, or no token."""
    found = set(request.cookies.getlist(name_of(cookie, settings)))
    token = found.pop() if len(found) == 1 else None
    return token if tokens.well_formed(token) else None


def chosen(request: Request, cookie: str, settings: Settings) -> str | None:
    """Give the choice a browser remembers, if it could be one: a word."""
    found = request.cookies.get(name_of(cookie, settings), "")
    return found if _WORD.fullmatch(found) else None


def bears_any(request: Request, settings: Settings, others: Iterable[str]) -> bool:
    """Tell whether a request carries a cookie of ours at all, in whatever state.

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
    """Take a cookie away."""
    response.delete_cookie(
        name_of(cookie, settings),
        path="/",
        domain=settings.core.cookie_domain if cookie == SESSION else None,
        secure=settings.https,
        httponly=True,
        samesite="Lax",
    )


def say(response: Response, said: str | None, settings: Settings) -> None:
    """Let the page that a browser goes to tell what was done."""
    if said is not None:
        write(response, FLASH, said, settings, 60)


def hush(request: Request, response: Response, settings: Settings) -> None:
    """Take that word away: it is told once."""
    if chosen(request, FLASH, settings) is not None:
        clear(response, FLASH, settings)
