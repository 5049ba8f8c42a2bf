"""Verification of the audit log: whether it is as it was sealed, and where it is not."""

import hmac
import json
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from bienvenue import clock, purposes
from bienvenue.db import DB
from bienvenue.features.audit.models import (
    AuditRow,
    Personal,
    SealedBatch,
    commitment,
    digest,
    personals,
    rows,
    sealed_text,
    seals,
)
from bienvenue.key_ring import KeyRing

_HEAD = re.compile(r"([1-9][0-9]{0,9}):([0-9a-f]{16,64})", re.ASCII)


@dataclass(frozen=True)
class Report:
    """The result of a verification."""

    #: The first difference from what was sealed, in a sentence; None when the log is intact.
    problem: str | None
    batches: int
    #: Sealed rows that are intact.
    rows: int
    #: Of these, rows whose personal values are erased.
    erased: int
    #: Rows that are not sealed yet.
    unsealed: int
    #: The head of the chain, as the service logs it; None when nothing is sealed.
    head: str | None
    #: Whether the chain was compared with a head that the service logged.
    compared: bool

    @property
    def blind(self) -> str:
        """What this verification cannot detect, in a sentence."""
        text = (
            "What this cannot see: what happened to rows that are not sealed yet; and what was "
            "done by someone who also has the keys."
        )
        if not self.compared:
            text += (
                " Nor a tail cut off together with its seals: for that, give the newest head in "
                "the log with --head."
            )
        return text


class _ProblemError(Exception):
    """The audit log is not intact; the message is that of the report."""


class Verification:
    """One walk along the chain, a batch at a time, so that a long log needs no more memory."""

    def __init__(self, db: DB, keys: KeyRing, head: str | None) -> None:
        """Take a head to compare with, or None. Raises ValueError when it has another form."""
        self._db = db
        self._keys = keys
        found = _HEAD.fullmatch(head or "")
        if head is not None and found is None:
            raise ValueError("a head is the number of a batch, a colon and 16 to 64 hex digits")
        self._head = None if found is None else (int(found[1]), found[2])
        self._batches = self._rows = self._erased = 0
        self._mac = ""

    def report(self) -> Report:
        """Verify up to the end or the first problem. Raises KeyProblem."""
        problem = None
        try:
            while self._next_batch():
                pass
            self._refuse_strays()
            self._refuse_cut_tail()
        except _ProblemError as found:
            problem = str(found)
        with self._db.reading() as tx:
            unsealed = tx.scalar(select(func.count()).where(rows.batch.is_(None))) or 0
        head = f"{self._batches}:{self._mac[:32]}" if self._batches else None
        return Report(
            problem,
            self._batches,
            self._rows,
            self._erased,
            unsealed,
            head,
            self._head is not None,
        )

    def _next_batch(self) -> bool:
        number = self._batches + 1
        with self._db.reading() as tx:
            seal = tx.scalar(
                select(SealedBatch).where(seals.batch >= number).order_by(seals.batch).limit(1)
            )
            if seal is None:
                return False
            found = tx.execute(
                select(*rows, personals.salt, personals.content)
                .outerjoin(Personal, personals.row_id == rows.id)
                .where(rows.batch == seal.batch)
                .order_by(rows.id)
            )
            if seal.batch != number:
                raise _ProblemError(f"The seal of batch {number} is missing.")
            self._check_seal(seal)
            self._check_rows(number, json.loads(seal.rows), found)
        self._batches, self._mac = number, seal.mac
        return True

    def _check_seal(self, seal: SealedBatch) -> None:
        if seal.previous != self._mac:
            raise _ProblemError(f"The seal of batch {seal.batch} does not follow the one before.")
        text = sealed_text(seal.batch, seal.at, seal.size, seal.previous, seal.rows)
        if not self._keys.verify(purposes.AUDIT_BATCH, text, _bytes(seal.mac)):
            raise _ProblemError(
                f"The seal of batch {seal.batch} is broken: it was changed, or made under none of "
                "the keys of this service."
            )
        if self._head is not None and self._head[0] == seal.batch:
            given = self._head[1]
            if not hmac.compare_digest(seal.mac[: len(given)], given):
                raise _ProblemError(f"The seal of batch {seal.batch} is not the one of the log.")

    def _check_rows(self, number: int, listed: list[Any], found: Any) -> None:
        expected = {row_id: (at, sealed) for row_id, at, sealed in listed}
        for row in found:
            if row.id not in expected:
                raise _ProblemError(
                    f"Row {row.id} of {_time(row.at)} was added to batch {number} after it was "
                    "sealed."
                )
            at, sealed = expected.pop(row.id)
            if digest(row) != sealed:
                raise _ProblemError(f"Row {row.id} of {_time(at)}, in batch {number}, was changed.")
            self._check_personal(row)
            self._rows += 1
        for row_id, (at, _) in sorted(expected.items()):
            raise _ProblemError(f"Row {row_id} of {_time(at)} is missing from batch {number}.")

    def _check_personal(self, row: Any) -> None:
        if row.content is None:
            self._erased += row.commitment is not None
        elif commitment(row.salt, row.content) != row.commitment:
            raise _ProblemError(
                f"The personal values of row {row.id} of {_time(row.at)} were changed."
            )

    def _refuse_strays(self) -> None:
        """Refuse a row that names a batch without a seal."""
        sealed = select(seals.batch).where(seals.batch == rows.batch, seals.batch >= 1)
        query = select(AuditRow).where(rows.batch.is_not(None), ~sealed.exists()).order_by(rows.id)
        with self._db.reading() as tx:
            stray = tx.scalar(query.limit(1))
        if stray is not None:
            raise _ProblemError(
                f"The seal of batch {stray.batch} is missing: row {stray.id} of {_time(stray.at)} "
                "says that it is sealed there."
            )

    def _refuse_cut_tail(self) -> None:
        if self._head is not None and self._head[0] > self._batches:
            raise _ProblemError(
                f"The log names batch {self._head[0]}, and the audit log ends with batch "
                f"{self._batches}: its tail was cut off."
            )


def _bytes(mac: Any) -> bytes:
    try:
        return bytes.fromhex(mac)
    except (TypeError, ValueError):
        return b""


def _time(at: Any) -> str:
    """Return a time as text; a tampered value that is no time is shown as it is."""
    try:
        return clock.written(at)
    except (TypeError, ValueError, OverflowError, OSError):
        return repr(at)
