"""The shelf of a reader, and the desk of the librarians."""

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from bienvenue.compat.flask_login import current_user, login_required
from library.models import Book, User, db

blueprint = Blueprint("shelf", __name__)


@blueprint.get("/")
@login_required
def index() -> str:
    """Show the reader's books."""
    return render_template("shelf.html", books=current_user.books)


@blueprint.post("/books")
@login_required
def add() -> Response:
    """Put a book on the shelf."""
    db.session.add(Book(title=request.form["title"], owner=current_user))
    db.session.commit()
    return redirect(url_for("shelf.index"))


@blueprint.get("/desk")
@login_required
async def desk() -> str:
    """Show the readers to a librarian."""
    if not current_user.admin:
        abort(403)
    return ", ".join(db.session.scalars(db.select(User.email).order_by(User.id)))
