"""display_name: the name that an application calls its user by. A feature of an application."""  # noqa: INP001 (a program by itself)

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import click
from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bienvenue.db import retried, upsert
from bienvenue.feature import Caller, Event, Feature, MenuEntry, Reason, Refusal
from bienvenue.settings import Section
from bienvenue.user import SignedIn, User, table_of
from bienvenue.web.page import Answer, Form, Pages, Reply, Text

HERE = Path(__file__).parent
LONGEST = 64

# --- the table ----------------------------------------------------------------------------------


class Base(DeclarativeBase):
    """The tables of the application; the service compares its database with its own only."""


class DisplayName(Base):
    """The name of one account."""

    __tablename__ = "display_names"

    user_id: Mapped[int] = mapped_column(
        ForeignKey(table_of(User).c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    name: Mapped[str] = mapped_column(String(LONGEST))


# --- errors -------------------------------------------------------------------------------------


class DisplayNameTooLong(Refusal):
    """The name has more than 64 characters."""

    status = 422
    code = "display_name_too_long"
    message = "Use at most 64 characters."


# --- operations ---------------------------------------------------------------------------------


class DisplayNames(Feature[Section]):
    """The operations on display names."""

    name = "display_name"
    events: ClassVar = {"display_name.changed": "A user changed their display name."}
    sentences: ClassVar = {"display_name.changed": "Your display name was changed."}
    notices: ClassVar = {"display_name.changed": "display_name_changed"}
    menu = (MenuEntry("/display_name", "Display name", "What others see.", "Change display name"),)
    flashes: ClassVar = {"display-name-changed": "Your display name was changed."}
    pages: ClassVar[Pages] = Pages()
    catalogue = HERE / "languages"
    templates = HERE / "templates"
    migrations = HERE / "migrations"

    def of(self, user_id: int) -> str | None:
        """Return the name of an account, or None."""
        with self._db.reading() as tx:
            return tx.scalar(select(DisplayName.name).where(DisplayName.user_id == user_id))

    @retried
    def change(self, caller: Caller, me: SignedIn, name: str) -> None:
        """Store the name of the user. Raises DisplayNameTooLong."""
        if len(name) > LONGEST:
            raise DisplayNameTooLong("name")
        row = upsert(table_of(DisplayName), self._db.on_postgresql)
        row = row.values(user_id=me.user_id, name=name)
        row = row.on_conflict_do_update(index_elements=["user_id"], set_={"name": name})
        with self._db.transaction() as tx:
            tx.execute(row)
            self._registry.publish(Event(caller, "display_name.changed", me.user_id))

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the name of a deleted account."""
        if reason == Reason.ACCOUNT_DELETED:
            with self._db.transaction() as tx:
                tx.change(delete(DisplayName).where(DisplayName.user_id == user_id))

    def export(self, user_id: int) -> Mapping[str, Any]:
        """Return the name of an account."""
        return {"display_name": self.of(user_id)}


# --- pages --------------------------------------------------------------------------------------

page = DisplayNames.pages


class DisplayNameRequest(Form):
    """The body of a request to change the name."""

    name: Text


class DisplayNameShown(Reply):
    """The name of the user, and the request that changes it."""

    name: str | None
    action: Literal["PUT /display_name"] = "PUT /display_name"


@page("GET /display_name", returns={200: DisplayNameShown})
def display_name(me: SignedIn) -> Answer:
    """Show the user's name and the form that changes it."""
    name = DisplayNames.current().of(me.user_id)
    return Answer(DisplayNameShown(name=name), template="display_name/change.html")


@page(
    "PUT /display_name",
    accepts=DisplayNameRequest,
    returns={200: DisplayNameShown},
    errors=(DisplayNameTooLong,),
    form_template="display_name/change.html",
)
def change_display_name(form: DisplayNameRequest, caller: Caller, me: SignedIn) -> Answer:
    """Change the user's name."""
    DisplayNames.current().change(caller, me, form.name)
    return Answer(
        DisplayNameShown(name=form.name), redirect_to="/display_name", flash="display-name-changed"
    )


# --- commands -----------------------------------------------------------------------------------


@click.command("users display-name")
@click.argument("user")
@click.pass_obj
def show(service: Any, user: str) -> None:
    """Print the display name of a user."""
    auth = service.auth
    click.echo(auth.use(DisplayNames).of(auth.accounts.find(user).id) or "no display name")


DisplayNames.commands = (show,)
