"""Who may reach the views of a host application. `mypy --strict` checks these views too."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest
from flask import Blueprint, Flask
from flask.typing import ResponseReturnValue
from flask.views import MethodView

from bienvenue import (
    current_user,
    groups_required,
    login_required,
    reauthentication_required,
)
from bienvenue.authentication import CODE
from bienvenue.features.groups import MalformedGroup
from tests.conftest import EMAIL, Clock
from tests.web.browser import HTML
from tests.web.hosts import CREDENTIALS, MakeHost, make_host, plain, send, signed_in

__all__ = ["make_host"]


def add_classes(app: Flask) -> None:
    """Add classes of views, guarded as a whole and method by method."""

    class Shelf(MethodView):
        decorators: ClassVar = [login_required]

        async def get(self, number: int) -> ResponseReturnValue:
            return f"{number} of {current_user.email}"

        def post(self, number: int) -> ResponseReturnValue:
            return f"{number} of {current_user.email}"

    app.add_url_rule("/class/<int:number>", view_func=Shelf.as_view("shelf"))

    class Marked(MethodView):
        @login_required
        def get(self, number: int) -> ResponseReturnValue:
            return f"{number} of {current_user.email}"

        @login_required
        async def post(self, number: int) -> ResponseReturnValue:
            return f"{number} of {current_user.email}"

    app.add_url_rule("/method/<int:number>", view_func=Marked.as_view("marked"))


def add_blueprint(app: Flask) -> None:
    """Add a blueprint that is guarded as a whole."""
    shelves = Blueprint("shelves", __name__, url_prefix="/blueprint")

    @shelves.before_request
    @login_required
    def closed() -> None:
        """Close every view of the blueprint."""

    @shelves.get("/<int:number>")
    def one(number: int) -> str:
        return f"{number} of {current_user.email}"

    app.register_blueprint(shelves)


def add_views(app: Flask) -> None:
    """Add one view of every kind, each guarded."""

    @app.get("/sync/<int:number>")
    @login_required
    def sync(number: int) -> str:
        return f"{number} of {current_user.email}"

    @app.get("/async/<int:number>")
    @login_required
    async def later(number: int) -> str:
        return f"{number} of {current_user.email}"

    @app.get("/hidden/<int:number>")
    @login_required
    @plain
    async def hidden(number: int) -> str:
        return f"{number} of {current_user.email}"

    @app.get("/inside/<int:number>")
    @plain
    @login_required
    @login_required
    async def inside(number: int) -> tuple[str, int]:
        return f"{number} of {current_user.email}", 200

    add_classes(app)
    add_blueprint(app)


VIEWS = ("sync", "async", "hidden", "inside", "class", "method", "blueprint")


@pytest.mark.parametrize("view", VIEWS)
def test_a_guard_stands_on_every_kind_of_view(make_host: MakeHost, view: str) -> None:
    """Programs hear 401, browsers go to sign in, and whoever signed in gets the view's answer."""
    app = make_host()
    add_views(app)
    client = app.test_client()
    refused = client.get(f"/{view}/3")
    assert (refused.status_code, refused.get_json()["code"]) == (401, "not_signed_in")
    assert refused.headers["Cache-Control"] == "no-store"
    sent = client.get(f"/{view}/3", headers=HTML)
    assert (sent.status_code, sent.location.partition("?")[0]) == (303, "/account/sessions/new")
    assert signed_in(app).get(f"/{view}/3").text == "3 of bob@example.com"


@pytest.mark.parametrize("view", ["class", "method"])
def test_a_class_of_views_is_guarded_in_every_method(make_host: MakeHost, view: str) -> None:
    """Async or not."""
    app = make_host()
    add_views(app)
    assert app.test_client().post(f"/{view}/3").status_code == 401
    assert signed_in(app).post(f"/{view}/3").text == "3 of bob@example.com"


def test_a_preflight_passes_and_reaches_no_view(make_host: MakeHost) -> None:
    """A browser sends no cookie with it, so a closed one would close the view to other origins."""
    app = make_host()
    add_views(app)

    @app.route("/own", methods=["OPTIONS"], provide_automatic_options=False)
    @login_required
    def own() -> str:
        return "reached"

    client = app.test_client()
    for view in VIEWS:
        answer = client.options(f"/{view}/3")
        assert (answer.status_code, answer.text) == (200, "")
    assert client.options("/own").status_code == 401
    assert signed_in(app).options("/own").text == "reached"


def test_a_whole_application_may_be_closed(make_host: MakeHost) -> None:
    """But for our own pages, which guard themselves: one could not sign in otherwise."""
    app = make_host()
    add_views(app)

    @app.get("/open")
    def anyone() -> str:
        return "open"

    @app.before_request
    @login_required
    async def closed() -> None:
        """Close every view."""

    client = app.test_client()
    assert client.get("/open").status_code == client.get("/nothing").status_code == 401
    assert client.get("/account/sessions/new", headers=HTML).status_code == 200
    assert client.get("/account/profile").status_code == 401
    assert signed_in(app).get("/open").text == "open"


def add_strict_views(app: Flask) -> None:
    """Add views that want more of a user than to be signed in."""

    @app.route("/fresh", methods=["GET", "POST"])
    @reauthentication_required
    def fresh() -> str:
        return "fresh"

    @app.get("/minute")
    @reauthentication_required(within=timedelta(minutes=1))
    async def minute() -> str:
        return "within a minute"

    @app.get("/day")
    @reauthentication_required(within=86400)
    def day() -> str:
        return "within a day"

    @app.get("/later/fresh")
    @reauthentication_required
    async def later_fresh() -> str:
        return "fresh"

    @app.get("/staff")
    @groups_required("staff")
    async def for_staff() -> str:
        return "staff"

    @app.get("/editors")
    @login_required
    @groups_required("staff", ("editors", "admins"))
    @reauthentication_required()
    @groups_required("staff")
    def editors() -> str:
        return ",".join(sorted(current_user.groups))


def test_a_view_may_want_a_fresh_sign_in(make_host: MakeHost, moving_clock: Clock) -> None:
    """Within the time of the house, or within its own."""
    app = make_host()
    add_strict_views(app)
    client = signed_in(app)
    for after, fresh in ((59, "fresh minute day"), (2, "fresh day"), (15 * 60, "day"), (86400, "")):
        moving_clock.forward(after)
        for view in ("fresh", "later/fresh", "minute", "day"):
            answer = client.get(f"/{view}")
            passes = view.removeprefix("later/") in fresh.split()
            assert answer.status_code == (200 if passes else 403), (after, view)
    assert client.get("/day").get_json()["code"] == "reauthentication_required"


def test_a_browser_comes_back_with_a_fresh_session(
    make_host: MakeHost, moving_clock: Clock
) -> None:
    """To the page it wanted, or to the page with the form it sent."""
    app = make_host()
    add_strict_views(app)
    client = signed_in(app)
    moving_clock.forward(15 * 60)
    sent = client.get("/fresh?a=b", headers=HTML)
    assert sent.location == "/account/reauthentication?next=%2Ffresh%3Fa%3Db"
    again = client.post("/fresh", headers=HTML | {"Referer": "http://localhost:5000/form"})
    assert again.location == "/account/reauthentication?next=%2Fform"
    back = send(client, sent.location, password=CREDENTIALS["password"])
    assert (back.status_code, back.location) == (303, "/fresh?a=b")
    assert client.get("/fresh?a=b").text == "fresh"
    assert app.test_client().get("/fresh").status_code == 401


def test_a_view_may_want_groups(make_host: MakeHost) -> None:
    """Each of them, or one of those that stand together; a change has effect at once."""
    app = make_host()
    add_strict_views(app)
    auth = app.extensions["bienvenue"].auth
    client = signed_in(app)
    refused = client.get("/staff")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "group_required")
    page = client.get("/staff", headers=HTML)
    assert (page.status_code, page.mimetype) == (403, "text/html")
    assert "<h1>You don't have access</h1>" in page.text
    assert "staff" not in page.text
    auth.groups.add(CODE, EMAIL, "staff")
    assert client.get("/staff").text == "staff"
    assert client.get("/editors").status_code == 403
    auth.groups.add(CODE, EMAIL, "admins")
    assert client.get("/editors").text == "admins,staff"
    auth.groups.remove(CODE, EMAIL, "staff")
    assert client.get("/staff").status_code == 403
    assert app.test_client().get("/staff").status_code == 401


def test_groups_are_read_once_and_only_if_they_are_asked_for(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that wants none costs what it did."""
    app = make_host()
    add_views(app)
    add_strict_views(app)
    groups = app.extensions["bienvenue"].auth.groups
    groups.add(CODE, EMAIL, "staff")
    groups.add(CODE, EMAIL, "editors")
    client = signed_in(app)
    read: list[int] = []
    of = groups.of

    def watched(user_id: int) -> frozenset[str]:
        read.append(user_id)
        return frozenset(of(user_id))

    monkeypatch.setattr(groups, "of", watched)
    client.get("/sync/3")
    assert read == []
    assert client.get("/editors").text == "editors,staff"
    assert len(read) == 1


def test_a_guard_of_a_group_that_is_none_is_a_mistake() -> None:
    """Found where it stands, not by the first visitor."""
    with pytest.raises(MalformedGroup):
        groups_required("the staff")
    with pytest.raises(MalformedGroup):
        groups_required("staff", ("editors", ""))
    with pytest.raises(TypeError, match="needs the name of a group"):
        groups_required()
