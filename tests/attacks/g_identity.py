"""G: headers by which some proxies say who is there."""

from __future__ import annotations

import base64

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.target import Target

NAMES = (
    "X-Remote-User",
    "Remote-User",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Auth-Request-Email",
    "X-User",
    "X-User-Id",
    "X-WEBAUTH-USER",
    "X_Remote_User",
)


@attack("G13", "A header says who is there, and is believed.", wins="broken:G13_believes_the_proxy")
def named_by_a_header(target: Target) -> Outcome:
    """Name the victim in every such header, by email, number and uid, and read the profile."""
    person = target.person()
    uid = person.sign_in().get("/profile").json["uid"]
    basic = base64.b64encode(f"{person.email}:{person.password}".encode()).decode()
    tried = [{name: value} for name in NAMES for value in (person.email, uid, "1")]
    tried += [{"Authorization": f"Basic {basic}"}, {"Authorization": f"Bearer {uid}"}]
    for headers in tried:
        for path in ("/profile", "/sessions", "/activity"):
            reply = target.request("GET", path, headers=headers)
            if reply.status != 401:
                return Won(f"{path} with {next(iter(headers))} answered {reply.status}")
    return Refused(f"{len(tried)} headers named the victim, and none was believed")
