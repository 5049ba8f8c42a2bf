"""What every test of the bookshelf may use."""  # noqa: INP001 (a program by itself)

from collections.abc import Iterator

import pytest
from books import create_app
from flask import Flask
from flask.testing import FlaskClient


@pytest.fixture
def app(bienvenue_database: str) -> Iterator[Flask]:
    """The application on a database of this test, which the environment names."""
    app = create_app()
    app.testing = True
    yield app
    app.extensions["bienvenue"].auth.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A visitor."""
    return app.test_client()
