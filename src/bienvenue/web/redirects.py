"""Where somebody may ask to go on: a page of ours, or an origin that the operator named.

A list of what there is needs no rule for what a browser makes of a spelling; below an origin of the
list, whatever RFC 3986 calls a path and a query may follow, and nothing else (ASVS 3.7.2).
"""

import re
from collections.abc import Iterable

#: A path and a query (RFC 3986 sections 3.3 and 3.4), or nothing.
_REST = re.compile(r"(?:[/?](?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}){0,2000})?", re.ASCII)


def outside(wanted: str | None, origins: Iterable[str]) -> str | None:
    """Give a URL if it begins with one of these origins and is written plainly; else None."""
    for origin in origins:
        if wanted is not None and wanted.startswith(origin):
            rest = wanted.removeprefix(origin)
            if _REST.fullmatch(rest):
                return wanted
    return None


def content_policy(policy: str, origins: Iterable[str]) -> str:
    """Let forms lead on to these origins, too: a browser asks it of where a form's answer leads."""
    return policy.replace("form-action 'self'", " ".join(["form-action 'self'", *origins]))
