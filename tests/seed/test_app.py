"""app.py: the paths of the exercise."""

from __future__ import annotations

import ast
import re

from flask.testing import FlaskClient

from tests.course.modules import COURSE
from tests.seed.half import Half

BOB = "bob@example.com"


def form(half: Half, **others: str) -> dict[str, str]:
    """Return the form that Bob fills in, with other values where they are given."""
    return {"email": BOB, "password": half.good_password} | others


def logged_in(half: Half) -> FlaskClient:
    """Return a client that has registered and logged in."""
    client = half.client()
    assert client.post("/users", data=form(half)).status_code == half.status["registered"]
    assert client.post("/sessions", data=form(half)).status_code == half.status["logged_in"]
    return client


def test_welcome(half: Half) -> None:
    """A single GET route ("/") that returns a JSON payload of the form."""
    answer = half.client().get("/")
    assert answer.status_code == 200
    assert answer.get_json() == {"message": "Bienvenue"}


def test_register(half: Half) -> None:
    """The end-point should expect two form data fields: "email" and "password"."""
    answer = half.client().post("/users", data=form(half))
    assert answer.status_code == half.status["registered"]
    assert answer.get_json() == {"email": BOB, "message": "user created"}


def test_register_a_taken_email(half: Half) -> None:
    """A user who already exists is caught, and the answer says so."""
    client = half.client()
    client.post("/users", data=form(half))
    answer = client.post("/users", data=form(half, password=half.good_password + " too"))
    assert answer.status_code == half.status["taken"]
    assert answer.get_json()["message"] == "email already registered"


def test_log_in(half: Half) -> None:
    """Create a new session, store the session ID as a cookie, return a JSON payload."""
    client = half.client()
    client.post("/users", data=form(half))
    answer = client.post("/sessions", data=form(half))
    assert answer.status_code == half.status["logged_in"]
    assert answer.get_json() == {"email": BOB, "message": "logged in"}
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    assert re.fullmatch(half.session_id, cookie.value)


def test_log_in_with_incorrect_information(half: Half) -> None:
    """If the login information is incorrect, respond with a 401 HTTP status."""
    client = half.client()
    client.post("/users", data=form(half))
    for wrong in ({"password": half.good_password + "!"}, {"email": "unknown@example.com"}):
        answer = client.post("/sessions", data=form(half, **wrong))
        assert answer.status_code == half.status["wrong_login"] == 401
        assert client.get_cookie("session_id") is None


def test_profile(half: Half) -> None:
    """GET /profile says whose session the cookie names."""
    answer = logged_in(half).get("/profile")
    assert answer.status_code == 200
    assert answer.get_json()["email"] == BOB


def test_profile_without_a_session(half: Half) -> None:
    """GET /profile without a session, or with one that never was, is refused."""
    client = half.client()
    client.post("/users", data=form(half))
    assert client.get("/profile").status_code == half.status["not_logged_in"]
    client.set_cookie("session_id", half.generate_uuid())
    assert client.get("/profile").status_code == half.status["not_logged_in"]


def test_log_out(half: Half) -> None:
    """DELETE /sessions ends the session, so that its cookie is worth nothing."""
    client = logged_in(half)
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    assert client.delete("/sessions").status_code == half.status["logged_out"]
    client.set_cookie("session_id", cookie.value)
    assert client.get("/profile").status_code == half.status["not_logged_in"]


def test_log_out_without_a_session(half: Half) -> None:
    """DELETE /sessions without a session is refused."""
    assert half.client().delete("/sessions").status_code == half.status["not_logged_in"]


def test_what_the_course_answers_to_the_email(course: Half) -> None:
    """The payloads of the course hold what the exercise says and nothing else."""
    client = logged_in(course)
    taken = client.post("/users", data=form(course))
    assert (taken.status_code, taken.get_json()) == (400, {"message": "email already registered"})
    assert client.get("/profile").get_json() == {"email": BOB}
    assert client.get("/profile").content_type == "application/json"


def test_logging_out_of_the_course_redirects(course: Half) -> None:
    """DELETE /sessions redirects to GET /, and is 403 the second time."""
    client = logged_in(course)
    answer = client.delete("/sessions")
    assert (answer.status_code, answer.location) == (302, "/")
    assert client.delete("/sessions").status_code == 403


def test_the_course_makes_its_auth_at_the_root_of_the_module() -> None:
    """Import the Auth object and instantiate it at the root of the module as such."""
    module = ast.parse((COURSE / "app.py").read_text(encoding="utf-8"))
    statements = [ast.unparse(statement) for statement in module.body]
    assert "from auth import Auth" in statements
    assert "AUTH = Auth()" in statements


def test_the_functions_of_the_course_have_the_names_of_the_exercise(course: Half) -> None:
    """Define a users function that implements POST /users, a login function for POST /sessions."""
    rules = course.client().application.url_map.iter_rules()
    named = {
        (method, rule.rule): rule.endpoint
        for rule in rules
        for method in rule.methods or set()
        if method not in {"HEAD", "OPTIONS"} and rule.endpoint != "static"
    }
    assert named == {
        ("GET", "/"): "index",
        ("POST", "/users"): "users",
        ("POST", "/sessions"): "login",
        ("DELETE", "/sessions"): "logout",
        ("GET", "/profile"): "profile",
        ("POST", "/reset_password"): "get_reset_password_token",
        ("PUT", "/reset_password"): "update_password",
    }
