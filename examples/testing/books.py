"""A bookshelf, made by a factory as tests need it."""  # noqa: INP001 (a program by itself)

from flask import Flask

from bienvenue import Bienvenue, current_user, login_required


def create_app() -> Flask:
    """Make the application; the settings of the service come from the environment."""
    app = Flask(__name__)
    Bienvenue(app)

    @app.get("/shelf")
    @login_required
    def shelf() -> dict[str, str]:
        return {"shelf of": current_user.email}

    return app
