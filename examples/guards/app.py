"""A bookshelf that says who may reach which view, sync or async."""  # noqa: INP001 (a program by itself)

from datetime import timedelta

from flask import Blueprint, Flask

from bienvenue import (
    Bienvenue,
    current_user,
    groups_required,
    login_required,
    reauthentication_required,
    scopes_required,
)

app = Flask(__name__)
Bienvenue(
    app,
    "/account",
    after_sign_in="/shelf",
    after_sign_out="/",
    access_token_scopes="read=Read your shelf, write=Change your shelf",
)
desk = Blueprint("desk", __name__, url_prefix="/desk")


@app.get("/")
def home() -> str:
    """Greet everybody."""
    return f"Hello {current_user.email if current_user else 'reader'}"


@app.get("/shelf")
@login_required
def shelf() -> str:
    """Show the user's books."""
    return f"the shelf of {current_user.email}"


@app.get("/shelf/books")
@scopes_required("read")
def books() -> str:
    """Show the user's books to programs too."""
    return f"the books of {current_user.email}"


@app.post("/shelf/clear")
@reauthentication_required(within=timedelta(minutes=5))
async def clear() -> str:
    """Throw the user's books away."""
    return f"the shelf of {current_user.email} is empty"


@desk.before_request
@groups_required("staff")
def closed() -> None:
    """Close every view of the blueprint to all but the staff."""


@desk.get("/")
def loans() -> str:
    """Show who has which book."""
    return f"{current_user.email} is in {', '.join(sorted(current_user.groups))}"


app.register_blueprint(desk)
