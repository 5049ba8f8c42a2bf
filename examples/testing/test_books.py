"""The bookshelf is for users."""  # noqa: INP001 (a program by itself)

from flask.testing import FlaskClient

from bienvenue.testing import Outbox, signed_in, submit


def test_the_shelf_is_closed(client: FlaskClient) -> None:
    """As long as no user is signed in."""
    assert client.get("/shelf").status_code == 401


def test_users_see_their_shelf(client: FlaskClient) -> None:
    """No page was opened for it, and the account is there."""
    signed_in(client, email="ann@example.org")
    assert client.get("/shelf").get_json() == {"shelf of": "ann@example.org"}


def test_a_password_is_reset(client: FlaskClient, outbox: Outbox) -> None:
    """By the pages, as a browser sends them, and the link of the email."""
    signed_in(client, email="ann@example.org").delete("/account/sessions")
    submit(client, "/account/reset_password", email="ann@example.org")
    assert [message["To"] for message in outbox] == ["ann@example.org"]
    client.get(outbox.link("ann@example.org"))
    submit(client, "/account/reset_password/new", new_password="a better one than before")
    assert "was reset" in outbox[-1]["Subject"]
