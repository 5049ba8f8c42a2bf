"""Who may reach the views of a host application. `mypy --strict` checks these views too."""

from __future__ import annotations

from typing import ClassVar

import pytest
from flask import Blueprint, Flask
from flask.typing import ResponseReturnValue
from flask.views import MethodView

from bienvenue import current_user, login_required
from tests.web.browser import HTML
from tests.web.hosts import MakeHost, make_host, plain, signed_in

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
