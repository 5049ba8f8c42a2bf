"""CORS: which other sites a browser lets read the answers of our API (Fetch standard, section 3.2).

The origins of the setting `cors_origins` may ask for the paths that an access token opens, with a
token and without cookies: `Access-Control-Allow-Credentials` is never sent. No pattern and no `*`
names an origin, and an origin that is not listed gets no header back (G07).
"""

from collections.abc import Iterable

from flask import Request, Response

from bienvenue.web.page import Page

#: Seconds for which a browser keeps the answer of a preflight.
_KEPT = "600"
_READABLE = "Retry-After, WWW-Authenticate, X-Request-Id"


class Cors:
    """The origins of other sites whose scripts may use the API."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Take the origins, each as a browser writes it."""
        self.origins = frozenset(origins)

    def mark(self, request: Request, response: Response, pages: dict[str, Page]) -> None:
        """Write the headers of CORS on the answer of a path with these pages."""
        if not self.origins:
            return
        methods = sorted(
            method
            for method, page in pages.items()
            # What a proxy or a probe asks for is no script's.
            if page.scope is not None and not page.any_host
        )
        if not methods:
            return
        # Of every answer: one without the header must not be kept for an origin that gets it.
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin not in self.origins:
            return
        response.headers["Access-Control-Allow-Origin"] = str(origin)
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = ", ".join(methods)
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Max-Age"] = _KEPT
        else:
            response.headers["Access-Control-Expose-Headers"] = _READABLE
