"""The command that fills a new database."""

import bcrypt
import click
from flask.cli import with_appcontext
from werkzeug.security import generate_password_hash

from library.models import User, db

PASSWORD = "a password of this example"


@click.command("people")
@with_appcontext
def people() -> None:
    """Make the tables and four readers, of whom the first is a librarian."""
    db.create_all()
    db.session.add(User(email="ada@example.org", password_hash=_bcrypt(), admin=True))
    for name in ("bob", "eve", "kim"):
        hashed = generate_password_hash(PASSWORD)
        db.session.add(User(email=f"{name}@example.org", password_hash=hashed))
    db.session.commit()


def _bcrypt() -> str:
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
