"""Notes of users, in one database with the accounts, with SQLAlchemy alone."""  # noqa: INP001 (a program by itself)

from flask import Flask, request
from sqlalchemy import Engine, ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bienvenue import Bienvenue, current_user, login_required
from bienvenue.models import users
from bienvenue.signals import account_deleted


class Base(DeclarativeBase):
    """The tables of the application."""


class Note(Base):
    """One note; it goes with its user."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_uid: Mapped[str] = mapped_column(ForeignKey(users().c.uid, ondelete="CASCADE"))
    text: Mapped[str]


def engine_of(database_url: str) -> Engine:
    """Open the database; SQLite heeds foreign keys only when it is told to."""
    engine = create_engine(database_url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda one, _: one.execute("PRAGMA foreign_keys = ON"))
    return engine


def create_app(database_url: str = "sqlite:///site.db") -> Flask:
    """Make the application; `flask bienvenue db upgrade` comes before `flask create-tables`."""
    app = Flask(__name__)
    engine = engine_of(database_url)
    app.extensions["engine"] = engine
    Bienvenue(app, database_url=database_url)

    @app.cli.command("create-tables")
    def create_tables() -> None:
        """Create the tables of the application, and none of the service."""
        Base.metadata.create_all(engine)

    @app.post("/notes")
    @login_required
    def add() -> dict[str, str]:
        with Session(engine) as session:
            note = Note(user_uid=current_user.user_uid, text=request.form["text"])
            session.add(note)
            session.commit()
            email = select(users().c.email).where(users().c.uid == note.user_uid)
            return {"text": note.text, "by": session.execute(email).scalar_one()}

    @app.get("/notes")
    @login_required
    def notes() -> list[str]:
        mine = select(Note.text).where(Note.user_uid == current_user.user_uid).order_by(Note.id)
        with Session(engine) as session:
            return list(session.scalars(mine))

    @account_deleted.connect_via(app)
    def gone(_sender: Flask, user: str, **_facts: object) -> None:
        app.logger.info("the notes of %s went with the account", user)

    return app
