"""Embedding: our pages among the routes of an application that is not ours.

The application may route a path before or after our pages are there. Werkzeug then answers with the
first of the two and says nothing, so that one of them is never reached.
"""

import re

from flask import Flask
from werkzeug.routing import Rule

from bienvenue.settings import SettingsProblem, usable_mount

#: The name of our blueprint, which is the beginning of the names of our endpoints.
BLUEPRINT = "bienvenue"
#: Where our pages are inside an application that names no prefix.
PREFIX = "/account"
#: Methods that come with others, or that Flask answers for every route.
_ALONG = {"HEAD", "OPTIONS"}
#: A part of a rule that varies, as `<uid>` or `<int(min=1):number>`.
_PART = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>")


class RouteProblem(Exception):
    """A route of the application and a page of the service have the same path and method."""


def plain_prefix(prefix: str | None) -> str:
    """Return the path below which our pages are: "/account" for None, "" for the root.

    A missing slash at the beginning is added, one at the end removed. Raises SettingsProblem for
    what cannot stand in a link.
    """
    if prefix is None:
        return PREFIX
    path = prefix.strip("/")
    try:
        return usable_mount(f"/{path}" if path else "")
    except ValueError as error:
        raise SettingsProblem(f"url_prefix {error}, or empty") from None


def refuse_collisions(app: Flask) -> None:
    """Compare our routes with all others. Raises RouteProblem, which names both."""
    ours: dict[tuple[str | None, str | None, str], Rule] = {}
    theirs: list[Rule] = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{BLUEPRINT}."):
            ours[_place(rule)] = rule
        elif not rule.build_only:
            theirs.append(rule)
    for rule in theirs:
        own = ours.get(_place(rule))
        if own is not None and _overlap(own, rule):
            raise RouteProblem(
                f"two routes answer {own.rule}: {rule.rule} of the application (endpoint "
                f"{rule.endpoint}), and {own.rule} of Bienvenue (endpoint {own.endpoint}). Give "
                "its pages another path, as Bienvenue(app, url_prefix='/login'), or your route"
            )


def check_routes(app: Flask) -> None:
    """Compare the routes, now and when the first request arrives, by when the application is whole.

    Then its other extensions are there, too. Raises RouteProblem, and lets every request raise it
    while there is such a route.
    """
    refuse_collisions(app)
    waiting = [app]

    def check_routes_once() -> None:
        if waiting:
            refuse_collisions(app)
            _exempt(app)
            waiting.clear()

    # Before a function of the application that may answer the request itself.
    app.before_request_funcs.setdefault(None, []).insert(0, check_routes_once)


def _exempt(app: Flask) -> None:
    """Let Flask-WTF's CSRFProtect leave our pages to their own cross-site rules and form tokens."""
    exempt = getattr(app.extensions.get("csrf"), "exempt", None)
    if exempt is not None:
        exempt(app.blueprints[BLUEPRINT])


def _place(rule: Rule) -> tuple[str | None, str | None, str]:
    """Return host, subdomain and path of a rule, without the names of the parts that vary."""
    path = _PART.sub(lambda part: "<path>" if part[1] == "path" else "<>", rule.rule)
    return rule.host, rule.subdomain, path


def _overlap(one: Rule, other: Rule) -> bool:
    """Return whether two rules answer the same method; without methods a rule answers all."""
    if one.methods is None or other.methods is None:
        return True
    return not (one.methods & other.methods) <= _ALONG
