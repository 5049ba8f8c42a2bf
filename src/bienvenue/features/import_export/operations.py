"""The operations that import and export users."""

import hashlib
import itertools
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from bienvenue import clock, normalize, user_fields
from bienvenue.authentication import Caller
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, needs
from bienvenue.features.accounts import Accounts, EmailTaken
from bienvenue.features.audit import Audit
from bienvenue.features.import_export.models import ImportedUser, imported
from bienvenue.features.import_export.sources import Columns, Line, Seen, batches
from bienvenue.features.passwords import Passwords
from bienvenue.foreign_hashes import StoredHash, UnreadableHash
from bienvenue.hashing import NO_PASSWORD
from bienvenue.settings import Section
from bienvenue.user_fields import UserField

BATCH = 500
"""Accounts of one transaction: an import keeps other writers of SQLite waiting for so long."""

_TRIES = 3
_NOBODYS = ("!", "*")  # how Django and Unix begin what no password opens


@dataclass(frozen=True)
class LineResult:
    """The result of one line."""

    place: str
    email: str | None
    #: "created", "unchanged" or "refused".
    outcome: str
    #: What its password hash is and whether it can be verified, or why the line was refused.
    words: str


@dataclass
class Report:
    """The results of all lines so far."""

    lines: int = 0
    created: int = 0
    unchanged: int = 0
    refused: int = 0
    #: The number of hashes of each kind, with whether they can be verified.
    hashes: Counter[str] = field(default_factory=Counter)

    def add(self, result: LineResult) -> None:
        """Count a line."""
        self.lines += 1
        setattr(self, result.outcome, getattr(self, result.outcome) + 1)
        if result.outcome != "refused":
            self.hashes[result.words] += 1


@dataclass(frozen=True)
class _Person:
    """One line that is valid by itself."""

    place: str
    values: Mapping[str, Any] = field(repr=False)
    stored: str = field(repr=False)
    hash: StoredHash | None
    words: str
    fingerprint: bytes = field(repr=False)

    @property
    def email(self) -> str:
        return str(self.values["email"])

    def result(self, outcome: str, words: str | None = None) -> LineResult:
        return LineResult(self.place, self.email, outcome, words or self.words)


class ImportExport(Feature[Section]):
    """The operations that import and export users."""

    name = "import_export"
    _accounts = needs(Accounts)
    _audit = needs(Audit)
    _passwords = needs(Passwords)
    events: ClassVar = {
        "account.imported": "An account was imported from another system.",
        "users.imported": "A batch of accounts was imported from another system.",
        "users.exported": "All accounts were exported, with or without password hashes.",
    }
    sentences: ClassVar = {
        "account.imported": "Your account was imported from another system.",
    }
    user_fields: ClassVar = (
        UserField(
            "last_sign_in_at",
            "when the user last signed in",
            user_fields.moment,
            user_fields.written,
        ),
        UserField("disabled_reason", "why the account is disabled", user_fields.text),
    )

    # --- in -------------------------------------------------------------------------------------

    def fields(self) -> dict[str, UserField]:
        """Return every field of every feature, by its name."""
        return {
            each.name: each for feature in self._registry.features for each in feature.user_fields
        }

    def columns(
        self,
        renamed: Mapping[str, str] | None = None,
        ignored: Sequence[str] = (),
        default: Mapping[str, str] | None = None,
    ) -> Columns:
        """Return what happens to the columns of a source."""
        return Columns(
            frozenset(self.fields()), dict(renamed or {}), frozenset(ignored), dict(default or {})
        )

    def import_lines(
        self,
        caller: Caller,
        lines: Iterator[Line],
        on_result: Callable[[LineResult], None],
        *,
        dry_run: bool = False,
        without_unreadable: bool = False,
    ) -> Report:
        """Create an account for every valid line; report the result of each line, in order.

        A line is valid if all its fields can be read, its email and uid are free, and its hash can
        be verified; `without_unreadable` creates an account without a password if only the hash is
        wrong. Accounts are created in batches of 500, each batch in one transaction; a line that
        already created its account changes nothing. A dry run checks everything and writes
        nothing.
        """
        report, fields = Report(), self.fields()
        with closing(Seen()) as seen:
            for batch in batches(lines, BATCH):
                read = [self._read(line, fields, without_unreadable) for line in batch]
                kept = [_met_before(each, seen) for each in read]
                people = [each for each in kept if isinstance(each, _Person)]
                became = self._become(caller, people, dry_run=dry_run)
                for each in kept:
                    result = each if isinstance(each, LineResult) else became[each.place]
                    report.add(result)
                    on_result(result)
        return report

    def _read(
        self, line: Line, fields: Mapping[str, UserField], without_unreadable: bool
    ) -> "_Person | LineResult":
        if line.problem is not None:
            return LineResult(line.place, None, "refused", line.problem)
        values: dict[str, Any] = {}
        for name, value in line.values.items():
            try:
                values[name] = fields[name].read(value)
            except ValueError as problem:
                return LineResult(line.place, values.get("email"), "refused", f"{name} {problem}")
        email = values.get("email")
        if email is None:
            return LineResult(line.place, None, "refused", "email is missing")
        line_text = json.dumps(values, sort_keys=True, default=str)
        stored, found, words = NO_PASSWORD, None, "no password: opens by resetting it"
        hashed = str(values.pop("password_hash", "")).strip()
        text = values.pop("password_text", "typed")
        if hashed and not hashed.startswith(_NOBODYS):
            try:
                stored, found = self._passwords.read_imported(hashed, text)
                words = f"{found.system}: opens"
            except UnreadableHash as problem:
                words = f"password_hash {problem}"
                if not without_unreadable:
                    return LineResult(line.place, email, "refused", words)
                words += ": left out, opens by resetting it"
        fingerprint = hashlib.sha256(line_text.encode("utf-8", "backslashreplace")).digest()
        return _Person(line.place, values, stored, found, words, fingerprint)

    def _become(
        self, caller: Caller, people: Sequence[_Person], *, dry_run: bool
    ) -> dict[str, LineResult]:
        """Create the accounts of a batch; return the result of each of its places."""
        tries = 0
        while True:
            became, free = self._judge(people)
            if dry_run or not free:
                return became
            try:
                self._store(caller, free)
            except (IntegrityError, EmailTaken):
                # One of these emails was registered in this moment: look again.
                tries += 1
                if tries == _TRIES:
                    raise
            else:
                return became

    def _judge(self, people: Sequence[_Person]) -> tuple[dict[str, LineResult], list[_Person]]:
        uids = [person.values["uid"] for person in people if "uid" in person.values]
        taken = self._accounts.taken([person.email for person in people], uids)
        ids = [user_id for user_id in taken.values() if user_id is not None]
        query = select(ImportedUser.user_id, ImportedUser.fingerprint)
        with self._db.reading() as tx:
            found = tx.execute(query.where(ImportedUser.user_id.in_(ids))).all()
        known = {row.user_id: row.fingerprint for row in found}
        became, free = {}, []
        for person in people:
            if person.email in taken:
                user_id = taken[person.email]
                if user_id is not None and known.get(user_id) == person.fingerprint:
                    became[person.place] = person.result("unchanged")
                else:
                    became[person.place] = person.result("refused", _taken(user_id, known))
            elif person.values.get("uid") in taken:
                became[person.place] = person.result("refused", "another account has this uid")
            else:
                became[person.place] = person.result("created")
                free.append(person)
        return became, free

    def read_fields(self, values: Mapping[str, object]) -> dict[str, Any]:
        """Return the fields of one user as features take them, those that are not empty.

        Raises ValueError with the name of a field that cannot be read. The email and the password
        are no such fields: the caller has them.
        """
        fields, read = self.fields(), {}
        for name, value in values.items():
            if name not in fields or name == "email" or name.startswith("password_"):
                raise ValueError(f"{name} is no field that it may give")
            if value not in (None, ""):
                try:
                    read[name] = fields[name].read(value)
                except ValueError as problem:
                    raise ValueError(f"{name} {problem}") from None
        return read

    def import_user(self, caller: Caller, values: Mapping[str, Any], stored: str) -> int:
        """Create the account of one user, in the open transaction; return its id.

        `values` are the fields, as `read_fields` returns them, with the email; `stored` is the hash
        of our own. Raises IntegrityError or EmailTaken when the email or the uid is taken.
        """
        # No line of a source has this fingerprint.
        person = _Person("", values, stored, None, "", secrets.token_bytes(32))
        (user_id,) = self._insert(caller, [person])
        return user_id

    @retried
    def _store(self, caller: Caller, people: Sequence[_Person]) -> None:
        with self._db.transaction():
            facts = {"accounts": len(self._insert(caller, people))}
            self._registry.publish(Event(caller, "users.imported", facts=facts))

    def _insert(self, caller: Caller, people: Sequence[_Person]) -> Sequence[int]:
        now = clock.now()
        with self._db.transaction() as tx:
            made = [(person.stored, person.values) for person in people]
            ids = self._accounts.import_all(made)
            users = [(n, person.values) for n, person in zip(ids, people, strict=True)]
            rows = [
                {
                    "user_id": user_id,
                    "fingerprint": person.fingerprint,
                    "imported_at": now,
                    "last_sign_in_at": person.values.get("last_sign_in_at"),
                    "disabled_reason": person.values.get("disabled_reason"),
                }
                for user_id, person in zip(ids, people, strict=True)
            ]
            tx.execute(insert(imported), rows)
            self._passwords.note_costs(p.hash for p in people if p.hash is not None)
            for feature in self._registry.features:
                feature.import_users(users)
            self._registry.publish_all(
                [Event(caller, "account.imported", user_id) for user_id in ids]
            )
        return ids

    # --- out ------------------------------------------------------------------------------------

    def export_all(self, caller: Caller, *, hashes: bool) -> Iterator[dict[str, Any]]:
        """Log who exports all users, then yield them, oldest first, as plain values.

        With `hashes` each has the stored password hash and how it takes a password.
        """
        facts = {"hashes": hashes}
        self._registry.publish(Event(caller, "users.exported", facts=facts))
        return self._export_all(self.exported(hashes=hashes))

    def exported(self, *, hashes: bool) -> list[UserField]:
        """Return the fields that an export has, in their order."""
        return [
            each
            for each in self.fields().values()
            if each.exported and (hashes or not each.name.startswith("password_"))
        ]

    def _export_all(self, fields: Sequence[UserField]) -> Iterator[dict[str, Any]]:
        # A service has no password to move; the tokens that it has stay behind.
        users = (user for user in self._accounts.list() if not normalize.is_service(user.email))
        while ids := [user.id for user in itertools.islice(users, BATCH)]:
            parts = [feature.export_users(ids) for feature in self._registry.features]
            for user_id in ids:
                values = {
                    name: value for part in parts for name, value in part.get(user_id, {}).items()
                }
                # The account may have been deleted since the list was read.
                if "email" in values:
                    yield {each.name: each.write(values.get(each.name)) for each in fields}

    def export_users(self, user_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return when each last signed in, here or there, and why an account is disabled."""
        here = self._audit.last("session.opened", user_ids)
        with self._db.reading() as tx:
            known = {
                row.user_id: row
                for row in tx.execute(select(imported).where(imported.c.user_id.in_(user_ids)))
            }
        return {
            user_id: {
                "last_sign_in_at": here.get(
                    user_id, known[user_id].last_sign_in_at if user_id in known else None
                ),
                "disabled_reason": known[user_id].disabled_reason if user_id in known else None,
            }
            for user_id in user_ids
        }

    # --- what others ask and tell ---------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Delete the reason why an account was disabled once it is enabled."""
        if event.name == "account.enabled":
            mine = imported.c.user_id == event.user_id
            with self._db.transaction() as tx:
                tx.change(update(imported).where(mine).values(disabled_reason=None))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return what another system knew of the user, and when the account was imported."""
        with self._db.reading() as tx:
            row = tx.execute(select(imported).where(imported.c.user_id == user_id)).one_or_none()
        if row is None:
            return {"imported": None}
        at = row.last_sign_in_at
        return {
            "imported": {
                "imported_at": clock.written(row.imported_at),
                "last_sign_in_at": None if at is None else clock.written(at),
                "disabled_reason": row.disabled_reason,
            }
        }


def _met_before(each: "_Person | LineResult", seen: Seen) -> "_Person | LineResult":
    """Refuse a line whose email or uid another line has; two users cannot share one."""
    if isinstance(each, LineResult):
        return each
    for name, value in (("email", each.email), ("uid", each.values.get("uid"))):
        place = None if value is None else seen.before(f"{name} {value}", each.place)
        if place is not None:
            return each.result("refused", f"the {name} is that of {place}")
    return each


def _taken(user_id: int | None, known: Mapping[int, bytes]) -> str:
    if user_id is None:
        return "this email is kept for an account that was changed from it"
    if user_id in known:
        return "its account was made of another line; nothing of it was changed"
    return "there is an account of this email already; nothing of it was changed"
