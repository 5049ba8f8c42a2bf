"""Every path of the service, as its own OpenAPI document names them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.attacks.target import Target, TargetFails

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

#: What an attacker may ask for. Anyone who opens one more to attackers says so here too.
PUBLIC = {
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/bienvenue/outcome/{name}"),
    ("GET", "/users/new"),
    ("POST", "/users"),
    ("GET", "/sessions/new"),
    ("POST", "/sessions"),
    ("GET", "/reset_password"),
    ("POST", "/reset_password"),
    ("GET", "/reset_password/new"),
    ("PUT", "/reset_password"),
    ("GET", "/preferences"),
    ("GET", "/email/verification"),
    ("POST", "/email/verification"),
    ("POST", "/email/verification/resend"),
    # It asks for the cookie of the browser that registered, and for the link.
    ("POST", "/email/verification/here"),
    ("PUT", "/preferences"),
    ("GET", "/account/reopen"),
    ("POST", "/account/reopen"),
    ("GET", "/notification_email/verification"),
    ("POST", "/notification_email/verification"),
    # These ask for the key of the outbox instead of a session.
    ("GET", "/outbox"),
    ("GET", "/outbox/{uid}"),
    ("GET", "/email/restore"),
    ("POST", "/email/restore"),
}


@dataclass(frozen=True)
class Route:
    """One path and method, the names in the path's braces still open."""

    method: str
    path: str

    def at(self, name: str) -> str:
        """Give the path with this in the place of every name."""
        head, *rest = self.path.split("{")
        return head + "".join(name + part.partition("}")[2] for part in rest)


def routes(target: Target) -> list[Route]:
    """Give every path and method there is; anyone who answers GET answers HEAD too.

    Raises TargetFails where no one says, as the course.
    """
    described = target.get("/openapi.json")
    if not described.ok:
        raise TargetFails(f"{target.name} does not describe its paths; this attack reads them")
    paths = described.json["paths"]
    found = [Route(method.upper(), path) for path, page in paths.items() for method in page]
    return found + [Route("HEAD", route.path) for route in found if route.method == "GET"]


def closed(target: Target) -> list[Route]:
    """Give those that are not for attackers."""
    return [
        route
        for route in routes(target)
        if (route.method.replace("HEAD", "GET"), route.path) not in PUBLIC
    ]
