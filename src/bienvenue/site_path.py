"""A path of this site, as a redirect may have it: no browser takes it for another site.

Two slashes at the beginning, or a backslash or a tab among them, name another host (the URL
standard). A proxy may decode or shorten a path before the next one reads it. So a path has no
empty segment, no dots for a segment, and no slash, backslash or control character in any form
(ASVS 3.7.2; RFC 3986).
"""

import re

#: A path and a query (RFC 3986 sections 3.3 and 3.4), or nothing.
REST = re.compile(r"(?:[/?](?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}){0,2000})?", re.ASCII)
_DECODED_LATER = re.compile(r"%(?:2f|5c|[01][0-9a-f]|7f)", re.IGNORECASE)
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


def is_plain(text: str) -> bool:
    """Tell whether a text is a path of this site, with or without a query."""
    path = text.partition("?")[0]
    if not path.startswith("/") or not REST.fullmatch(text) or _DECODED_LATER.search(path):
        return False
    segments = path.split("/")[1:]
    return all(segments[:-1]) and not any(map(_DOTS.fullmatch, segments))
