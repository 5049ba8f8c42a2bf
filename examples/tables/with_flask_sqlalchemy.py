"""Notes of users, in one database with the accounts, with Flask-SQLAlchemy."""  # noqa: INP001 (a program by itself)

from datetime import UTC, datetime

from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from bienvenue import Bienvenue, current_user, login_required
from bienvenue.models import users


class Base(DeclarativeBase):
    """The tables of the application."""


db = SQLAlchemy(model_class=Base)


class Account(db.Model):
    """A user as the application reads them; only the service writes this table."""

    __table__ = users()


class Note(db.Model):
    """One note."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_uid: Mapped[str] = mapped_column(ForeignKey(users().c.uid))
    text: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    account: Mapped[Account] = relationship(viewonly=True)


def create_app(database_url: str = "sqlite:///site.db") -> Flask:
    """Make the application; `flask bienvenue db upgrade` comes before `flask create-tables`."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    db.init_app(app)
    Bienvenue(app, database_url=database_url)

    @app.cli.command("create-tables")
    def create_tables() -> None:
        """Create the tables of the application, and none of the service."""
        db.create_all()

    @app.post("/notes")
    @login_required
    def add() -> dict[str, str]:
        note = Note(user_uid=current_user.user_uid, text=request.form["text"])
        db.session.add(note)
        db.session.commit()
        return {"text": note.text, "by": note.account.email}

    @app.get("/notes")
    @login_required
    def notes() -> list[str]:
        mine = select(Note).where(Note.user_uid == current_user.user_uid).order_by(Note.id)
        return [note.text for note in db.session.scalars(mine)]

    return app
