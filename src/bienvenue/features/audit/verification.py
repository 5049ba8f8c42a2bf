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

LISTED = 20
"""Problems that a report names; it counts the others."""

_HEAD = re.compile(r"([1-9][0-9]{0,9}):([0-9a-f]{16,64})", re.ASCII)


@dataclass(frozen=True)
class Report:
    """The result of a verification."""

    #: The first differences from what was sealed, a sentence each; none when the log is intact.
    problems: tuple[str, ...]
    #: How many more there are.
    unlisted: int
    #: Batches whose seal is intact.
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
    def problem(self) -> str | None:
        """The first difference from what was sealed; None when the log is intact."""
        return self.problems[0] if self.problems else None

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


class Verification:
    """One walk along the chain, a batch at a time, so that a long log needs no more memory.

    A problem does not end the walk: what follows a broken batch is verified all the same.
    """

    def __init__(self, db: DB, keys: KeyRing, head: str | None) -> None:
        """Take a head to compare with, or None. Raises ValueError when it has another form."""
        self._db = db
        self._keys = keys
        found = _HEAD.fullmatch(head or "")
        if head is not None and found is None:
            raise ValueError("a head is the number of a batch, a colon and 16 to 64 hex digits")
        self._head = None if found is None else (int(found[1]), found[2])
        self._problems: list[str] = []
        self._unlisted = 0
        #: The first and the last of the batches of each gap in the chain.
        self._missing: list[tuple[int, int]] = []
        self._batches = self._rows = self._erased = 0
        #: The batch that was read last, and the MAC of its seal; None when that was not intact.
        self._last = 0
        self._mac: str | None = ""

    def report(self) -> Report:
        """Verify the whole log. Raises KeyProblem."""
        while self._next_batch():
            pass
        self._find_strays()
        self._find_cut_tail()
        with self._db.reading() as tx:
            unsealed = tx.scalar(select(func.count()).where(rows.batch.is_(None))) or 0
        return Report(
            tuple(self._problems),
            self._unlisted,
            self._batches,
            self._rows,
            self._erased,
            unsealed,
            f"{self._last}:{self._mac[:32]}" if self._mac else None,
            self._head is not None,
        )

    def _found(self, problem: str) -> None:
        if len(self._problems) < LISTED:
            self._problems.append(problem)
        else:
            self._unlisted += 1

    def _next_batch(self) -> bool:
        number = self._last + 1
        with self._db.reading() as tx:
            seal = tx.scalar(
                select(SealedBatch).where(seals.batch >= number).order_by(seals.batch).limit(1)
            )
            if seal is None:
                return False
            if seal.batch != number:
                self._missing.append((number, seal.batch - 1))
                self._found(_missing(number, seal.batch - 1))
                self._mac = None
            intact = self._check_seal(seal)
            if intact:
                found = tx.execute(
                    select(*rows, personals.salt, personals.content)
                    .outerjoin(Personal, personals.row_id == rows.id)
                    .where(rows.batch == seal.batch)
                    .order_by(rows.id)
                )
                self._check_rows(seal.batch, json.loads(seal.rows), found)
                self._batches += 1
        self._last, self._mac = seal.batch, seal.mac if intact else None
        return True

    def _check_seal(self, seal: SealedBatch) -> bool:
        """Tell whether a seal is intact, so that the rows it lists are those that were sealed."""
        text = sealed_text(seal.batch, seal.at, seal.size, seal.previous, seal.rows)
        # The seal after a broken one may be intact, and has nothing to follow.
        if self._mac is not None and seal.previous != self._mac:
            self._found(f"The seal of batch {seal.batch} does not follow the one before.")
            return False
        if not self._keys.verify_batch(purposes.AUDIT_BATCH, seal.batch, text, _bytes(seal.mac)):
            self._found(
                f"The seal of batch {seal.batch} is broken: it was changed, or made under a key "
                "that this service does not have or had retired by then."
            )
            return False
        if self._head is not None and self._head[0] == seal.batch:
            given = self._head[1]
            if not hmac.compare_digest(seal.mac[: len(given)], given):
                self._found(f"The seal of batch {seal.batch} is not the one of the log.")
        return True

    def _check_rows(self, number: int, listed: list[Any], found: Any) -> None:
        expected = {row_id: (at, sealed) for row_id, at, sealed in listed}
        for row in found:
            if row.id not in expected:
                self._found(
                    f"Row {row.id} of {_time(row.at)} was added to batch {number} after it was "
                    "sealed."
                )
                continue
            at, sealed = expected.pop(row.id)
            if digest(row) != sealed:
                self._found(f"Row {row.id} of {_time(at)}, in batch {number}, was changed.")
            elif self._check_personal(row):
                self._rows += 1
        for row_id, (at, _) in sorted(expected.items()):
            self._found(f"Row {row_id} of {_time(at)} is missing from batch {number}.")

    def _check_personal(self, row: Any) -> bool:
        if row.content is None:
            self._erased += row.commitment is not None
        elif commitment(row.salt, row.content) != row.commitment:
            self._found(f"The personal values of row {row.id} of {_time(row.at)} were changed.")
            return False
        return True

    def _find_strays(self) -> None:
        """Find the rows that name a batch without a seal, one for each batch."""
        sealed = select(seals.batch).where(seals.batch == rows.batch, seals.batch >= 1)
        query = (
            select(rows.batch, func.min(rows.id))
            .where(rows.batch.is_not(None), ~sealed.exists())
            .group_by(rows.batch)
            .order_by(func.min(rows.id))
        )
        with self._db.reading() as tx:
            for batch, row_id in tx.execute(query).all():
                # SQLite stores text in a column of numbers, too.
                if not isinstance(batch, str) and self._is_missing(batch):
                    continue
                at = tx.scalar(select(rows.at).where(rows.id == row_id))
                self._found(
                    f"The seal of batch {batch} is missing: row {row_id} of {_time(at)} says that "
                    "it is sealed there."
                )

    def _is_missing(self, batch: float) -> bool:
        return any(first <= batch <= last for first, last in self._missing)

    def _find_cut_tail(self) -> None:
        if self._head is not None and self._head[0] > self._last:
            self._found(
                f"The log names batch {self._head[0]}, and the audit log ends with batch "
                f"{self._last}: its tail was cut off."
            )


def _missing(first: int, last: int) -> str:
    if first == last:
        return f"The seal of batch {first} is missing."
    return f"The seals of batches {first} to {last} are missing."


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
