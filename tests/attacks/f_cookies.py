"""F: cookies no one was given."""

from __future__ import annotations

import base64
import json

from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.target import Target

#: Keys that are no secret: none at all, and those of tutorials.
KEYS = ("", "secret", "dev", "changeme", "session", "bienvenue")
GARBAGE = (
    "A" * 43,
    "=" * 43,
    "%00" * 14,
    "x" * 5000,
    '"quoted"',
    "é".encode().decode("latin-1"),
    "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoxfQ.",
    base64.urlsafe_b64encode(b"\x80\x04N.").decode(),
    "../../etc/passwd",
    "1",
    "0",
    "true",
)


def forged(user_id: int) -> list[str]:
    """Write "I am this user" in every format a service ever took for true."""
    claim = {"user_id": user_id, "_user_id": str(user_id), "sub": str(user_id)}
    plain = base64.urlsafe_b64encode(json.dumps(claim).encode()).decode().rstrip("=")
    signed = [URLSafeSerializer(key).dumps(claim) for key in KEYS]
    timed = [URLSafeTimedSerializer(key, "cookie-session").dumps(claim) for key in KEYS]
    return [plain, *map(str, signed), *map(str, timed)]


@attack("F07", "A forged cookie opens a session.", wins="broken:F07_cookies_of_before")
def a_cookie_of_ones_own_making(target: Target) -> Outcome:
    """Show garbage, and claims signed with keys everybody knows."""
    target.person().sign_in()
    cookies = [*GARBAGE, *(cookie for user_id in (1, 2) for cookie in forged(user_id))]
    for cookie in cookies:
        reply = target.request("GET", "/profile", cookie=f"session_id={cookie}")
        if reply.ok:
            return Won(f"a cookie of one's own making is the session of {reply.json['email']}")
        if reply.status != 401:
            return Won(f"the cookie {cookie[:40]!r} was answered {reply.status}")
    return Refused(f"{len(cookies)} cookies were nobody's")
