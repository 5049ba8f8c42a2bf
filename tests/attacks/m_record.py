"""M: anyone who can write to the database changes the record of what they did."""

from __future__ import annotations

import re

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.target import Said, Target


@attack("M10", "The audit log is changed unseen.", wins="broken:M10_rows_not_compared")
def the_record_is_changed(target: Target) -> Outcome:
    """Say of a sealed row that someone else did it, then take it out."""
    target.person().sign_in()
    target.work()
    [row] = target.execute(
        "SELECT * FROM audit_log WHERE name = 'session.opened' AND batch IS NOT NULL "
        "ORDER BY id DESC LIMIT 1"
    )
    number = row["id"]
    target.execute("UPDATE audit_log SET user_id = user_id + 1 WHERE id = :id", id=number)
    if not names(target.cli("audit", "verify"), number):
        return Won(f"row {number} says that somebody else signed in, and nobody noticed")
    target.execute("DELETE FROM audit_log WHERE id = :id", id=number)
    if not names(gone := target.cli("audit", "verify"), number):
        return Won(f"row {number} is gone, and nobody noticed")
    columns = ", ".join(row)
    values = ", ".join(f":{column}" for column in row)
    target.execute(f"INSERT INTO audit_log ({columns}) VALUES ({values})", **row)
    return Refused(gone.text.splitlines()[0])


def names(said: Said, row: int) -> bool:
    """Tell whether a verification failed and says that it did at this row."""
    return said.code == 1 and re.search(rf"\brow {row}\b", said.text, re.IGNORECASE) is not None
