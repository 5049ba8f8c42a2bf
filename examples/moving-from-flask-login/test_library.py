"""The tests of the library: the same before and after it moved."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from library import create_app
from library.people import PASSWORD


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    """A visitor of the library, whose database `flask people` has filled."""
    app = create_app()
    app.testing = True
    yield app.test_client()
    if "bienvenue" in app.extensions:
        app.extensions["bienvenue"].auth.close()


def log_in(client: FlaskClient, name: str, page: str = "/", password: str = PASSWORD) -> str:
    """Log a reader in, and return the page that is shown then."""
    asked = client.get(page, follow_redirects=True)
    typed = {"email": f"{name}@example.org", "password": password}
    return client.post(asked.request.full_path, data=typed, follow_redirects=True).text


@pytest.mark.parametrize("name", ["ada", "bob", "eve", "kim"])
def test_every_reader_has_a_shelf(client: FlaskClient, name: str) -> None:
    """Whatever hash the password has."""
    assert f"{name}@example.org" in log_in(client, name)
    client.post("/books", data={"title": f"the book of {name}"})
    assert f"<li>the book of {name}</li>" in client.get("/").text


def test_a_wrong_password_is_refused(client: FlaskClient) -> None:
    """And said."""
    assert "Wrong email or password." in log_in(client, "bob", password="a wrong one")
    assert client.get("/").status_code == 302


def test_a_librarian_comes_to_the_desk(client: FlaskClient) -> None:
    """And to that page at once; a reader does not."""
    shown = log_in(client, "ada", "/desk")
    assert shown.startswith("ada@example.org, bob@example.org")
    client.post("/logout")
    log_in(client, "bob")
    assert client.get("/desk").status_code == 403


def test_who_logs_out_has_no_shelf(client: FlaskClient) -> None:
    """Until the next time."""
    log_in(client, "kim")
    assert client.post("/logout").location == "/login"
    assert client.get("/").location.startswith("/login?next=")
