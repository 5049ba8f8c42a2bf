"""The operations on groups."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import delete, func, insert, select

from bienvenue import user_fields
from bienvenue.authentication import Caller
from bienvenue.db import retried, upsert
from bienvenue.feature import Event, Feature, Reason, needs
from bienvenue.features.accounts import Accounts, NoSuchUser
from bienvenue.features.groups.errors import GroupRequired, MalformedGroup
from bienvenue.features.groups.models import LONGEST, GroupMembership, memberships
from bienvenue.settings import Section
from bienvenue.user import User
from bienvenue.user_fields import UserField

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}", re.ASCII)
_table = memberships.c
#: The name of a group has no comma.
_ON_SQLITE = "SELECT group_concat(name) FROM {group_memberships} WHERE user_id = :user_id"
_ON_POSTGRESQL = "SELECT string_agg(name, ',') FROM {group_memberships} WHERE user_id = :user_id"

Wanted = str | Iterable[str]
"""The name of a group, or several of which one is enough."""


def checked(name: str) -> str:
    """Return the name of a group; capitals count. Raises MalformedGroup."""
    if not _NAME.fullmatch(name):
        raise MalformedGroup("group")
    return name


def _read(value: Any) -> list[str]:
    """Read the names of groups of an imported user: a list, or a text with commas."""
    names = value
    if isinstance(value, str):
        names = [name.strip() for name in user_fields.text(value).split(",")]
    if not isinstance(names, list | tuple):
        raise ValueError("is neither a list of groups nor a text")  # noqa: TRY004 (as readers do)
    found = sorted({str(name) for name in names if name})
    wrong = next((name for name in found if not _NAME.fullmatch(name)), None)
    if wrong is not None:
        raise ValueError("has a group whose name is not of letters, digits, dots and hyphens")
    return found


def _written(names: list[str] | None) -> str | None:
    return None if names is None else ",".join(names)


class Groups(Feature[Section]):
    """The operations on groups."""

    name = "groups"
    _accounts = needs(Accounts)
    events: ClassVar = {
        "group.added": "An account was added to a group, which is with it.",
        "group.removed": "An account was removed from a group, which is with it.",
    }
    sentences: ClassVar = {
        "group.added": "Your account was added to a group.",
        "group.removed": "Your account was removed from a group.",
    }
    user_fields: ClassVar = (
        UserField("groups", "the names of groups, separated by commas", _read, _written),
    )

    def of(self, user_id: int) -> frozenset[str]:
        """Return the groups of an account, read now."""
        with self._db.reading() as tx:
            names = tx.scalars(select(_table.name).where(_table.user_id == user_id))
            return frozenset(names)

    def committed(self, user_id: int) -> list[str]:
        """Return the groups of an account as they are committed, in order.

        It is for what is asked at every request: one statement on the connection of this thread.
        """
        statement = _ON_POSTGRESQL if self._db.on_postgresql else _ON_SQLITE
        (names,) = self._db.fetch_row(statement, {"user_id": user_id})
        return sorted(filter(None, (names or "").split(",")))

    @staticmethod
    def require(groups: frozenset[str], wanted: Iterable[Wanted]) -> None:
        """Raise GroupRequired unless `groups` meets each of the wanted ones."""
        for one in wanted:
            if groups.isdisjoint([one] if isinstance(one, str) else one):
                raise GroupRequired

    @retried
    def add(self, caller: Caller, user: str, group: str) -> User:
        """Add the account of an email or uid to a group; idempotent.

        Raises NoSuchUser and MalformedGroup.
        """
        checked(group)
        with self._db.transaction() as tx:
            found = self._held(user)
            row = upsert(memberships, self._db.on_postgresql).values(user_id=found.id, name=group)
            if tx.scalar(row.on_conflict_do_nothing().returning(_table.name)) is not None:
                self._registry.publish(Event(caller, "group.added", found.id, {"group": group}))
        return found

    @retried
    def remove(self, caller: Caller, user: str, group: str) -> User:
        """Remove the account of an email or uid from a group; idempotent. Raises NoSuchUser."""
        with self._db.transaction() as tx:
            found = self._held(user)
            mine = (_table.user_id == found.id) & (_table.name == group)
            if tx.change(delete(memberships).where(mine)):
                self._registry.publish(Event(caller, "group.removed", found.id, {"group": group}))
        return found

    def _held(self, user: str) -> User:
        """Return an account, locked until the open transaction ends. Raises NoSuchUser."""
        found = self._accounts.find(user)
        if not self._accounts.hold(found.id):
            raise NoSuchUser
        return found

    def members(self, group: str) -> Sequence[str]:
        """Return the emails of the accounts in a group, in their order."""
        query = select(User.email).join(GroupMembership, _table.user_id == User.id)
        with self._db.reading() as tx:
            return tx.scalars(query.where(_table.name == group).order_by(User.email)).all()

    def sizes(self) -> dict[str, int]:
        """Return all groups, in their order, with the number of their accounts."""
        query = (
            select(_table.name, func.count().label("size"))
            .group_by(_table.name)
            .order_by(_table.name)
        )
        with self._db.reading() as tx:
            return {row.name: row.size for row in tx.execute(query)}

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the memberships of a deleted account."""
        if reason == Reason.ACCOUNT_DELETED:
            with self._db.transaction() as tx:
                tx.change(delete(memberships).where(_table.user_id == user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the groups of an account, in order."""
        return {"groups": sorted(self.of(user_id))}

    def import_users(self, users: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Store the groups of new accounts."""
        rows = [
            {"user_id": user_id, "name": name}
            for user_id, values in users
            for name in values.get("groups", ())
        ]
        if rows:
            with self._db.transaction() as tx:
                tx.execute(insert(memberships), rows)

    def export_users(self, user_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the groups of some accounts by id, in order; an account in none is absent."""
        query = select(_table.user_id, _table.name).where(_table.user_id.in_(user_ids))
        found: dict[int, list[str]] = {}
        with self._db.reading() as tx:
            for user_id, name in tx.execute(query.order_by(_table.user_id, _table.name)):
                found.setdefault(user_id, []).append(name)
        return {user_id: {"groups": names} for user_id, names in found.items()}
