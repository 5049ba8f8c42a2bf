"""The service's own edge, answering every session check with the same octets: what a check adds.

The body is as long as a profile, the headers are those of one.
"""

import json

from bienvenue import asgi
from bienvenue.edge import Edge, _Head
from bienvenue.wsgi_bridge import Answered

BODY = json.dumps({"email": "me@example.com", "filling": "x" * 380}).encode() + b"\n"


class Constant(Edge):
    """An edge that asks nobody."""

    async def _check(self, head: _Head, *, verifies: bool) -> Answered | None:
        assert head.hosts
        assert not verifies
        return 200, self._headers, BODY


app = Constant(asgi.flask, 4)
