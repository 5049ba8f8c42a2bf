"""Our pages among the routes of a host application: their path, and no route twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask

from bienvenue import Bienvenue
from bienvenue.settings import SettingsProblem
from bienvenue.web.embedding import RouteProblem, plain_prefix
from tests.conftest import KEY

ONE_DATABASE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
pytestmark = ONE_DATABASE
Join = Callable[..., Flask]


@pytest.fixture
def join(database: str, tmp_path: Path) -> Iterator[Join]:
    """Let our pages join an application."""
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    joined: list[Flask] = []

    def make(app: Flask, url_prefix: str | None = None, **settings: Any) -> Flask:
        joined.append(app)
        given: dict[str, Any] = {"database_url": database, "secret_key_file": keys}
        Bienvenue(app, url_prefix, bcrypt_cost=4, **given | settings)
        return app

    yield make
    for app in joined:
        if "bienvenue" in app.extensions:
            app.extensions["bienvenue"].auth.close()


def page() -> str:
    """A view of the host."""
    return "theirs"


def test_without_a_prefix_the_pages_are_below_account(join: Join) -> None:
    """So the home page, and every other path, stays the host's."""
    app = join(Flask("theirs"))
    app.add_url_rule("/", view_func=page)
    app.add_url_rule("/profile", "profile", page)
    client = app.test_client()
    assert [client.get(path).text for path in ("/", "/profile")] == ["theirs", "theirs"]
    assert client.get("/account/").get_json() == {"message": "Bienvenue"}
    assert client.get("/account/profile").status_code == 401


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (None, "/account"),
        ("", ""),
        ("/", ""),
        ("login", "/login"),
        ("/login/", "/login"),
        ("login/here", "/login/here"),
    ],
)
def test_a_prefix_is_made_plain(database: str, given: str | None, path: str) -> None:
    """With one slash before it and none behind it."""
    del database
    assert plain_prefix(given) == path


@pytest.mark.parametrize(
    "given", ["/a b", "/a//b", "/<lang>", "/é", "/a?b", "/a#b", "/../a", "https://example.org"]
)
def test_a_prefix_that_stands_in_no_link_is_refused(join: Join, given: str) -> None:
    """It would be another path in a browser, or none."""
    with pytest.raises(SettingsProblem, match=r"^url_prefix is a path as /auth"):
        join(Flask("theirs"), given)


BOTH = r"/account/profile of the application \(endpoint {}\).*\(endpoint bienvenue.profile\)"


def test_a_route_that_the_application_has_already_is_refused_at_once(join: Join) -> None:
    """With the path and the endpoint of both."""
    app = Flask("theirs")
    app.add_url_rule("/account/profile", "mine", page)
    with pytest.raises(RouteProblem, match=BOTH.format("mine")):
        join(app)


def test_a_route_that_is_added_later_fails_every_request(join: Join) -> None:
    """Also one of a blueprint, and also before a function of the host that answers by itself."""
    app = Flask("theirs")
    app.testing = True
    app.before_request(page)
    join(app)
    later = Blueprint("site", __name__, url_prefix="/account")
    later.add_url_rule("/profile", "profile", page)
    app.register_blueprint(later)
    for path in ("/", "/account/profile", "/"):
        with pytest.raises(RouteProblem, match=BOTH.format("site.profile")):
            app.test_client().get(path)


@pytest.mark.parametrize("rule", ["/sessions/<int(min=1):n>", "/sessions/<any(a,b):n>"])
def test_the_names_of_variable_parts_make_no_other_path(join: Join, rule: str) -> None:
    """One of the two would get what is meant for the other."""
    app = Flask("theirs")
    app.add_url_rule(rule, view_func=page, methods=["DELETE"])
    with pytest.raises(RouteProblem, match=r"bienvenue\.sessions-<uid>"):
        join(app, "")


def test_what_does_not_collide_is_left_alone(join: Join) -> None:
    """Another method, another host, a path that only begins alike, a rule that only builds."""
    app = Flask("theirs", static_folder=None)
    app.add_url_rule("/account/bienvenue/brand.css", "post", page, methods=["POST"])
    app.add_url_rule("/account/<path:rest>", "rest", page)
    app.add_url_rule("/account/profile", "there", page, subdomain="www")
    app.add_url_rule("/account/profile", "built", page, build_only=True)
    answer = join(app).test_client().get("/account/profile")
    assert answer.status_code == 401


def test_a_rule_without_methods_answers_all_of_them(join: Join) -> None:
    """As one that is added to the map of URLs itself."""
    app = Flask("theirs")
    app.url_map.add(app.url_rule_class("/account/bienvenue/icon", endpoint="any"))
    with pytest.raises(RouteProblem, match="endpoint any"):
        join(app)
