"""A library whose readers have shelves."""

from flask import Flask

from library import auth, people, shelf
from library.models import db, login_manager


def create_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config.from_mapping(SECRET_KEY="dev", SQLALCHEMY_DATABASE_URI="sqlite:///library.db")
    db.init_app(app)
    login_manager.init_app(app)
    app.register_blueprint(auth.blueprint)
    app.register_blueprint(shelf.blueprint)
    app.cli.add_command(people.people)
    return app
