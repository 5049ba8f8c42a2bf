"""Paths: ours as an application mounts them, and where a visitor may ask to return to.

A visitor may name a page of ours, or a URL below an origin that the operator lists. A list needs no
rule for what a browser makes of a spelling; after a listed origin only what RFC 3986 calls a path
and a query may follow (ASVS 3.7.2).
"""

import re
from collections.abc import Iterable

from flask import current_app, request

#: A path and a query (RFC 3986 sections 3.3 and 3.4), or nothing.
_REST = re.compile(r"(?:[/?](?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}){0,2000})?", re.ASCII)


def prefix() -> str:
    """Return the path prefix of our pages in this application, "" for none."""
    return current_app.blueprints["bienvenue"].url_prefix or ""


def mounted(path: str) -> str:
    """Return a path of ours as this application mounts it."""
    return f"{request.script_root}{prefix()}{path}"


def to_origin(wanted: str | None, origins: Iterable[str]) -> str | None:
    """Return a URL if it begins with one of these origins and is written plainly; else None."""
    for origin in origins:
        if wanted is not None and wanted.startswith(origin):
            rest = wanted.removeprefix(origin)
            if _REST.fullmatch(rest):
                return wanted
    return None


def content_policy(policy: str, origins: Iterable[str]) -> str:
    """Let forms redirect to these origins: a browser applies `form-action` to redirects too."""
    return policy.replace("form-action 'self'", " ".join(["form-action 'self'", *origins]))
