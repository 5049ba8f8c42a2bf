"""Our pages in applications that made something else of Jinja, and in the layout of one."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, render_template_string, request
from jinja2 import (
    DictLoader,
    Environment,
    StrictUndefined,
    TemplateNotFound,
    UndefinedError,
    meta,
)
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from bienvenue import Bienvenue
from bienvenue.authentication import CODE
from tests.conftest import EMAIL, KEY, PASSPHRASE
from tests.docs.pages import GUIDE, TOP
from tests.house.source import PACKAGE
from tests.web.browser import HTML

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
OURS = PACKAGE / "templates" / "bienvenue"
Join = Callable[[Flask], Flask]


@pytest.fixture
def join(database: str, tmp_path: Path) -> Iterator[Join]:
    """Let our pages join an application."""
    (tmp_path / "keys").write_text(KEY)
    joined: list[Flask] = []

    def make(app: Flask) -> Flask:
        given: dict[str, Any] = {"database_url": database, "secret_key_file": tmp_path / "keys"}
        Bienvenue(app, bcrypt_cost=4, **given)
        joined.append(app)
        return app

    yield make
    for app in joined:
        app.extensions["bienvenue"].auth.close()


def shown(app: Flask) -> list[str]:
    """What a browser gets of every kind of page, without what is new each time."""
    client = app.test_client()
    found = [
        client.get(f"/account{path}", headers=HTML).text
        for path in ("/", "/sessions/new", "/users/new", "/reset_password", "/bienvenue/brand.css")
    ]
    found.append(client.get("/account/bienvenue/icon").text)
    found.append(
        client.post("/account/users", headers=HTML, data=CREDENTIALS | {"email": "x"}).text
    )
    client.post("/account/users", json=CREDENTIALS)
    client.post("/account/sessions", json=CREDENTIALS)
    found += [
        client.get(f"/account{path}", headers=HTML).text
        for path in ("/profile", "/activity", "/sessions", "/password", "/email", "/account/close")
    ]
    found.append(client.put("/account/password", headers=HTML, json={}).text)
    app.extensions["bienvenue"].auth.accounts.delete(CODE, EMAIL)
    uid, moment = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"\d{4}-\d\d-\d\dT[\d:]+Z"
    varying = rf'value="[\w.=-]{{40,}}"|{uid}|{moment}|[\d:]+ UTC'
    assert all(len(text) > 100 for text in found)
    return [re.sub(varying, "", text) for text in found]


def names() -> set[str]:
    """Every name that a template of a page reads from its context."""
    parser, found = Environment(autoescape=True), set()
    for path in OURS.rglob("*.*"):
        if path.parent.name != "mail":
            found |= meta.find_undeclared_variables(parser.parse(path.read_text("utf-8")))
    assert {"forms", "_", "me", "value"} <= found
    return found


class Sandbox(Flask):
    """An application that reads templates in a sandbox."""

    class jinja_environment(SandboxedEnvironment):  # noqa: N801 (Flask gives it this name)
        """A sandbox with what Flask hands to its environment."""

        def __init__(self, app: Flask, **options: Any) -> None:
            options.setdefault("loader", app.create_global_jinja_loader())
            super().__init__(**options)


def options(**given: Any) -> Callable[[], Flask]:
    """Make an application with options of Jinja."""

    def make() -> Flask:
        app = Flask("theirs")
        app.jinja_options = given
        return app

    return make


def with_names_of_ours() -> Flask:
    """Make an application whose every template has the names of ours, which mean something else."""
    app = Flask("theirs")
    taken = dict.fromkeys(names(), "theirs alone")
    app.context_processor(lambda: taken)
    app.jinja_env.globals |= {name: "of all" for name in taken if name != "range"}
    return app


HABITS = {
    "delimiters": options(variable_start_string="[[", variable_end_string="]]"),
    "blocks": options(block_start_string="<%", block_end_string="%>"),
    "comments": options(comment_start_string="<!--", comment_end_string="-->"),
    "strict": options(undefined=StrictUndefined),
    "blanks": options(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True),
    "lines": options(line_statement_prefix="<", line_comment_prefix="{"),
    "extensions": options(extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.debug"]),
    "async": options(enable_async=True),
    "sandbox": lambda: Sandbox("theirs"),
    "names": with_names_of_ours,
}


@pytest.mark.table(shown=2)
@pytest.mark.parametrize("habit", HABITS)
def test_our_pages_do_not_notice_what_a_host_made_of_jinja(join: Join, habit: str) -> None:
    """Each is, to the letter, what it is in an application without habits."""
    made = [shown(join(make())) for make in (options(), HABITS[habit])]
    assert made[0] == made[1]


@pytest.mark.parametrize("habit", HABITS)
def test_a_host_does_not_notice_our_pages_in_its_jinja(join: Join, habit: str) -> None:
    """Its own template says what it said without us, before and after a page of ours was shown."""
    written = {
        "delimiters": "[[ 1 + 1 ]] {{ 1 }}",
        "blocks": "<% if 1 %>{% if %}<% endif %>",
        "comments": "{{ 1 }}<!-- none -->{# shown #}",
        "strict": "{{ missing }}",
        "blanks": "  {% if 1 %}\n  1\n{% endif %}\n",
        "lines": "< if 1\n1 { none\n< endif\n",
        "extensions": "{% do [].append(1) %}{% trans %}Sign in{% endtrans %}",
        "async": "{{ 1 }}",
        "sandbox": "{{ ''.__class__.__mro__ }}",
        "names": "{{ me }} {{ here }} {{ form }} {{ loop }}",
    }

    def own() -> str:
        try:
            return render_template_string(written[habit])
        except (UndefinedError, SecurityError) as error:
            return str(error)

    app, alone = HABITS[habit](), HABITS[habit]()
    for each in (app, alone):
        if habit == "extensions":
            each.jinja_env.globals["gettext"] = lambda text: f"{text} of theirs"
        each.add_url_rule("/own", view_func=own)
    join(app)
    client, expected = app.test_client(), alone.test_client().get("/own").text
    assert expected not in {"", written[habit]}
    assert client.get("/own").text == expected
    assert "Sign in" in client.get("/account/sessions/new", headers=HTML).text
    assert client.get("/own").text == expected


LAYOUT = """
[% extends "base.html" %]
[% block content %][% include "bienvenue/messages.html" %]<main>
[% block main %][% endblock %]</main>
[[ forms.hidden("token of a form") ]][% endblock %]
"""


def test_a_layout_of_the_host_is_read_as_the_host_writes(join: Join) -> None:
    """With its own delimiters, filters and context, in its folder or in that of a blueprint."""
    app = options(
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
    )()
    app.jinja_loader = DictLoader(
        {"base.html": "<nav>[[ site|loud ]] {{ }}</nav>[% block content %][% endblock %]"}
    )
    app.add_template_filter(str.upper, "loud")
    app.context_processor(lambda: {"site": "the shop"})
    folder = Blueprint("look", __name__)
    folder.jinja_loader = DictLoader({"bienvenue/layout.html": LAYOUT})
    app.register_blueprint(folder)
    bare = Blueprint("bare", __name__)
    app.register_blueprint(bare)
    page = join(app).test_client().get("/account/sessions/new", headers=HTML).text
    assert page.strip().startswith("<nav>THE SHOP {{ }}</nav>")
    assert '<input id="email" name="email"' in page
    assert 'name="form_token" value="token of a form"' in page


def test_a_layout_that_extends_nothing_names_what_is_missing(join: Join) -> None:
    """The file that is not there, and not the layout that asks for it."""
    app = Flask("theirs")
    app.jinja_loader = DictLoader({"bienvenue/layout.html": '{% extends "nowhere.html" %}'})
    join(app)
    rendering = app.extensions["bienvenue"].rendering
    with app.test_request_context("/"), pytest.raises(TemplateNotFound, match="nowhere"):
        rendering.branding.templates.page("welcome.html")
    with app.test_request_context("/"), pytest.raises(TemplateNotFound, match=r"none\.html"):
        rendering.branding.templates.page("none.html")


def layout_example(patch: pytest.MonkeyPatch) -> Flask:
    """The application of the example."""
    path = TOP / "examples" / "layout" / "app.py"
    spec = importlib.util.spec_from_file_location("layout_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Flask looks for the folder of a module there.
    patch.setitem(sys.modules, "layout_example", module)
    spec.loader.exec_module(module)
    app = module.app
    assert isinstance(app, Flask)
    return app


def test_the_example_of_a_layout_looks_like_the_shop(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page has its navigation and style, the messages, the refusal and the form."""
    (tmp_path / "keys").write_text(KEY)
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", database)
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("BIENVENUE_BCRYPT_COST", "4")
    app = layout_example(monkeypatch)
    client = app.test_client()
    pages = [
        client.get("/", headers=HTML).text,
        *shown(app)[:4],
        client.get("/account/nothing", headers=HTML).text,
    ]
    assert [page.count('<nav class="shop">') for page in pages] == [1, 1, 1, 1, 1, 0]
    page = client.get("/account/sessions/new", headers=HTML).text
    assert "<title>Sign in · The Shop</title>" in page
    assert page.count("/static/shop.css") == page.count("bienvenue.css") == 1
    wrong = client.post("/account/sessions", headers=HTML, json=CREDENTIALS)
    assert "Wrong email or password." in wrong.text
    signed_out = client.get("/account/activity", headers=HTML)
    assert signed_out.status_code == 303
    client.post("/account/users", json=CREDENTIALS)
    client.post("/account/sessions", json=CREDENTIALS)
    assert '<main id="main" tabindex="-1" class="wide">' in (
        client.get("/account/activity", headers=HTML).text
    )
    app.extensions["bienvenue"].auth.close()


def test_the_guide_shows_the_layout_of_the_example(database: str) -> None:
    """Whole, as it stands in its file."""
    del database
    file = TOP / "examples" / "layout" / "templates" / "bienvenue" / "layout.html"
    guide = (GUIDE / "your-layout.md").read_text("utf-8")
    assert f"```html\n{file.read_text('utf-8')}```\n" in guide
    named = re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE)
    assert set(named) <= names() | {"value"}


class CSRFProtect:
    """Refuses a POST without `csrf_token`, except in exempt blueprints, as Flask-WTF."""

    def __init__(self, app: Flask) -> None:
        """Ask before every request."""
        self._exempt: set[Blueprint] = set()
        app.extensions["csrf"] = self

        @app.before_request
        def protect() -> None:
            here = app.blueprints.get(request.blueprint or "")
            if request.method == "POST" and here not in self._exempt:
                abort(400 if "csrf_token" not in request.form else 403)

    def exempt(self, view: Blueprint) -> Blueprint:
        """Leave a blueprint alone."""
        self._exempt.add(view)
        return view


@pytest.mark.parametrize("before", [True, False])
def test_the_protection_of_the_hosts_forms_leaves_ours_alone(join: Join, before: bool) -> None:
    """Whichever of the two joins first: our pages have form tokens and rules of their own."""
    app = Flask("theirs")
    app.add_url_rule("/hook", view_func=lambda: "taken", methods=["POST"])
    if before:
        CSRFProtect(app)
    join(app)
    if not before:
        CSRFProtect(app)
    client = app.test_client()
    assert client.post("/account/users", json=CREDENTIALS).status_code == 201
    assert client.post("/hook").status_code == 400


def test_cookies_and_error_handlers_of_the_host_are_its_own(join: Join) -> None:
    """What it calls theme or language is nothing to us; its handlers see no error of ours."""
    app = join(Flask("theirs"))
    app.register_error_handler(Exception, lambda _: ("the host's own words", 500))
    app.register_error_handler(404, lambda _: ("not here", 404))
    client = app.test_client()
    client.set_cookie("theme", "dark")
    client.set_cookie("language", "fr")
    page = client.get("/account/sessions/new", headers=HTML)
    assert '<html lang="en">' in page.text
    assert page.headers.getlist("Set-Cookie") == [
        cookie for cookie in page.headers.getlist("Set-Cookie") if cookie.startswith("form_id=")
    ]
    assert client.get("/account/profile").get_json()["code"] == "not_signed_in"
    assert client.delete("/account/users").get_json()["code"] == "method_not_allowed"
    assert client.get("/nothing").text == "not here"
    client.post("/account/users", json=CREDENTIALS)
    client.post("/account/sessions", json=CREDENTIALS)
    chosen = client.put(
        "/account/preferences", json={"language": "fr", "theme": "light"}, headers=HTML
    )
    assert chosen.status_code == 303
    kept = {name: client.get_cookie(name) for name in ("theme", "language")}
    assert {name: cookie and cookie.value for name, cookie in kept.items()} == {
        "theme": "dark",
        "language": "fr",
    }
