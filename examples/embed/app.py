"""A bookshelf that only signed-in users see: the service inside a Flask application."""  # noqa: INP001 (a program by itself)

from flask import Flask

from bienvenue import Bienvenue, current_user, login_required

app = Flask(__name__)
Bienvenue(app)


@app.get("/shelf")
@login_required
def shelf() -> dict[str, str]:
    """Show the user's books."""
    return {"shelf of": current_user.email}
