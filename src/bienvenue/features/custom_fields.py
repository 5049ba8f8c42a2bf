"""custom_fields: what an application asks its users for besides email and password.

The application declares the fields as a pydantic model. The service has none of its own, and
without a model this feature has no page.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from sqlalchemy import ForeignKey, Text, delete, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import declared
from bienvenue.authentication import Caller
from bienvenue.db import DB, retried, upsert
from bienvenue.declared import Declared, DeclaredField
from bienvenue.feature import Event, Feature, MenuEntry, Reason, needs
from bienvenue.features.accounts import Accounts
from bienvenue.registry import Registry
from bienvenue.settings import PREFIX, Section, SettingsProblem
from bienvenue.user import Base, SignedIn, table_of
from bienvenue.web.page import Answer, Form, Page, Pages, Reply
from bienvenue.web.refusals import NotSignedIn

# --- the table ----------------------------------------------------------------------------------


class CustomFieldValues(Base):
    """The values of one account, as JSON by the name of the field."""

    __tablename__ = "custom_fields"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    data: Mapped[str] = mapped_column(Text())


_values = table_of(CustomFieldValues)

# --- operations ---------------------------------------------------------------------------------


class CustomFields(Feature[Section]):
    """The operations on the fields that an application declares."""

    name = "custom_fields"
    _accounts = needs(Accounts)
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "custom_fields.changed": "A user changed their details; the names of the fields are with "
        "it, and no value.",
    }
    sentences: ClassVar = {"custom_fields.changed": "Your details were changed."}
    menu = (
        MenuEntry(
            "/details", "Your details", "What you told us about yourself.", "View details", 15
        ),
    )
    flashes: ClassVar = {"details-saved": "Your details were saved."}

    def __init__(self, registry: Registry, db: DB, settings: Section) -> None:
        """Open with the fields of the application, if it declares any."""
        super().__init__(registry, db, settings)
        self.declared: Declared | None = registry.declared
        if self.declared is None:
            # An application without fields has no page.
            vars(self).update(pages=Pages(), menu=())
        else:
            vars(self)["user_fields"] = self.declared.user_fields

    def refuse_taken(self, features: Sequence[Any]) -> None:
        """Raise SettingsProblem for a field with a name that another field of users has."""
        taken = {each.name for one in features if one is not self for each in one.user_fields}
        for each in self.fields:
            if each.name in taken:
                raise SettingsProblem(
                    f"{PREFIX}CUSTOM_FIELDS: a field cannot be called {each.name}: the service "
                    "has that name"
                )

    @property
    def fields(self) -> tuple[DeclaredField, ...]:
        """The declared fields, in their order."""
        return () if self.declared is None else self.declared.fields

    def page_of(self, served: Page) -> Page:
        """Return a page that asks for the fields with them in its form, and any other as it is."""
        if self.declared is None or not served.custom_fields:
            return served
        editing = served.custom_fields == "editable"
        return replace(served, accepts=self.declared.form(served.accepts, editing=editing))

    def values(self, form: Form) -> dict[str, Any]:
        """Return what a form gives for the fields, as it is stored."""
        return {} if self.declared is None else self.declared.values(form)

    def store(self, user_id: int, values: Mapping[str, Any]) -> None:
        """Store the values of an account, in the open transaction; others stay."""
        if not values:
            return
        data = json.dumps(self.of(user_id) | dict(values))
        row = upsert(_values, self._db.on_postgresql).values(user_id=user_id, data=data)
        with self._db.transaction() as tx:
            tx.execute(row.on_conflict_do_update(index_elements=["user_id"], set_={"data": data}))

    @retried
    def change(self, caller: Caller, user_id: int, values: Mapping[str, Any]) -> None:
        """Store what a user changed; None deletes a value. Raises NotSignedIn without an account.

        The event names the fields, and no value.
        """
        with self._db.transaction() as tx:
            if not self._accounts.hold(user_id):
                raise NotSignedIn
            before = self.of(user_id)
            after = {k: v for k, v in (before | dict(values)).items() if v is not None}
            changed = sorted(name for name in before | after if before.get(name) != after.get(name))
            if not changed:
                return
            data = json.dumps(after)
            row = upsert(_values, self._db.on_postgresql).values(user_id=user_id, data=data)
            tx.execute(row.on_conflict_do_update(index_elements=["user_id"], set_={"data": data}))
            facts = {"fields": changed}
            self._registry.publish(Event(caller, "custom_fields.changed", user_id, facts))

    def change_all(self, caller: Caller, user_id: int, form: Form) -> dict[str, Any]:
        """Store every field that can be changed, as a form gives it; return all values.

        A field that the form leaves empty has no value any more. Raises NotSignedIn.
        """
        editable = {each.name: None for each in self.fields if each.editable}
        self.change(caller, user_id, editable | self.values(form))
        return self.shown(user_id)

    def of(self, user_id: int) -> dict[str, Any]:
        """Return the stored values of an account by name."""
        with self._db.reading() as tx:
            data = tx.scalar(select(_values.c.data).where(_values.c.user_id == user_id))
        return {} if data is None else dict(json.loads(data))

    def shown(self, user_id: int) -> dict[str, Any]:
        """Return the values of an account for its user: times in RFC 3339."""
        found = self.of(user_id)
        return found if self.declared is None else declared.shown(self.declared, found)

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the values of a deleted account."""
        if reason == Reason.ACCOUNT_DELETED:
            with self._db.transaction() as tx:
                tx.change(delete(_values).where(_values.c.user_id == user_id))

    def context(self) -> dict[str, Any]:
        """Return the declared fields, for the forms."""
        return {"custom_fields": self.fields}

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the values of an account."""
        return {"custom_fields": self.shown(user_id)}

    def import_users(self, users: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Store the values of new accounts."""
        names = {each.name for each in self.fields}
        rows = [
            {"user_id": user_id, "data": json.dumps(found)}
            for user_id, values in users
            if (found := {name: values[name] for name in values if name in names})
        ]
        if rows:
            with self._db.transaction() as tx:
                tx.execute(insert(_values), rows)

    def export_users(self, user_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the values of some accounts by id."""
        names = {each.name for each in self.fields}
        query = select(_values.c.user_id, _values.c.data).where(_values.c.user_id.in_(user_ids))
        with self._db.reading() as tx:
            rows = tx.execute(query).all()
        return {
            row.user_id: {k: v for k, v in json.loads(row.data).items() if k in names}
            for row in rows
        }


# --- pages --------------------------------------------------------------------------------------

page = CustomFields.pages


class DetailsRequest(Form):
    """The body of a change of the user's details."""


class Details(Reply):
    """The user's details by name, and the request that changes them."""

    fields: dict[str, Any]
    action: Literal["PUT /details"] = "PUT /details"


@page("GET /details", returns={200: Details})
def details(me: SignedIn) -> Answer:
    """Show the user's details, and the form for those that can be changed."""
    shown = CustomFields.current().shown(me.user_id)
    return Answer(Details(fields=shown), template="custom_fields/details.html")


@page(
    "PUT /details",
    accepts=DetailsRequest,
    returns={200: Details},
    form_template="custom_fields/details.html",
    custom_fields="editable",
)
def change_details(form: DetailsRequest, caller: Caller, me: SignedIn) -> Answer:
    """Change the user's details; a field that is left empty is deleted."""
    shown = CustomFields.current().change_all(caller, me.user_id, form)
    return Answer(Details(fields=shown), redirect_to="/details", flash="details-saved")
