"""Paths: ours as an application mounts them, and where a visitor may ask to return to.

A visitor may name a path of this site, or a URL below an origin that the operator lists. A list
needs no rule for what a browser makes of a spelling; after a listed origin only what RFC 3986 calls
a path and a query may follow (ASVS 3.7.2).
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from flask import current_app, request

from bienvenue import site_path
from bienvenue.settings import Settings

#: What stands unquoted in a path, and in a query, where a percent sign begins an escape.
_IN_PATH, _IN_QUERY = "/~!$&'()*+,;=:@", "/?~!$&'()*+,;=:@%"
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def prefix() -> str:
    """Return the path prefix of our pages in this application, "" for none."""
    return current_app.blueprints["bienvenue"].url_prefix or ""


def mounted(path: str) -> str:
    """Return a path of ours as this application mounts it.

    A server says whether it mounts the application, and the setting where. Without the setting the
    server's word is taken, which may come from a header, if it can be a path of this site.
    """
    mount = request.environ.get("SCRIPT_NAME", "").rstrip("/")
    if mount:
        mount = current_app.extensions["bienvenue"].settings.core.mount or mount
    return f"{mount if site_path.is_plain(mount) else ''}{prefix()}{path}"


def on_site(path: str, settings: Settings) -> str:
    """Return a path of ours as the site has it; the mount is that of the settings."""
    return f"{settings.core.mount}{prefix()}{path}"


def ours(wanted: str, settings: Settings) -> tuple[str, str] | None:
    """Return the path of ours that a path of the site names, and its query; None for another."""
    path, mark, query = wanted.partition("?")
    mount = on_site("", settings)
    return (path.removeprefix(mount), mark + query) if path.startswith(f"{mount}/") else None


def of_request(settings: Settings) -> str | None:
    """Return where to come back to after signing in for this request: a path of the site, or None.

    It is the page itself. For a request that no browser repeats, such as a form, it is the page
    that sent it, if that is a page of this site.
    """
    if request.method in {"GET", "HEAD"}:
        # As it was sent: a decoded path does not tell %2F from a slash.
        path = quote(request.environ.get("PATH_INFO", "").encode("latin-1"), safe=_IN_PATH)
        query = quote(_NO_ESCAPE.sub(b"%25", request.query_string), safe=_IN_QUERY)
        wanted: str | None = f"{settings.core.mount}{path}{query and '?'}{query}"
    else:
        wanted = _sender(settings)
    return to_site(wanted)


def _sender(settings: Settings) -> str | None:
    """Return the path of the page that sent a request, if it is one of this site."""
    try:
        sender = urlsplit(request.referrer or "")
    except ValueError:
        return None
    if sender.netloc not in {request.host, urlsplit(settings.base_url).netloc}:
        return None
    return f"{sender.path}{sender.query and '?'}{sender.query}"


def to_site(wanted: str | None) -> str | None:
    """Return a path of this site, whatever application has it, if it is written plainly."""
    return wanted if wanted is not None and site_path.is_plain(wanted) else None


def to_origin(wanted: str | None, origins: Iterable[str]) -> str | None:
    """Return a URL if it begins with one of these origins and is written plainly; else None."""
    for origin in origins:
        if wanted is not None and wanted.startswith(origin):
            rest = wanted.removeprefix(origin)
            if site_path.REST.fullmatch(rest):
                return wanted
    return None


def content_policy(policy: str, origins: Iterable[str]) -> str:
    """Let forms redirect to these origins: a browser applies `form-action` to redirects too."""
    return policy.replace("form-action 'self'", " ".join(["form-action 'self'", *origins]))
