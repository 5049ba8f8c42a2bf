"""Checks and findings: the words in which features and the check-up say what is wrong."""

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


class Severity(enum.Enum):
    """The severity of a finding."""

    #: Unsafe or unusable: `bienvenue serve` refuses to start.
    ERROR = "error"
    #: Usable, but worse than it should be.
    WARNING = "warning"
    #: Possibly intended.
    NOTE = "note"

    @property
    def level(self) -> int:
        """The level of the severity in the log."""
        return {"error": logging.ERROR, "warning": logging.WARNING}.get(self.value, logging.INFO)


@dataclass(frozen=True)
class Check(Generic[T]):
    """One check: its code, its severity, what to do, and its function.

    The function reads and changes nothing; it returns a sentence about what is wrong, or None. Only
    `bienvenue check` runs a `slow` one, `bienvenue serve` all others before it listens.
    """

    code: str
    severity: Severity
    remedy: str
    look: Callable[[T], str | None]
    slow: bool = False


@dataclass(frozen=True)
class Finding:
    """One problem: the code of its check, its severity, a sentence, and what to do."""

    code: str
    severity: Severity
    message: str
    remedy: str


def found_by(check: Check[T], subject: T, *, slow: bool) -> Finding | None:
    """Run a check, unless it is a slow one and `slow` is False; return its finding, or None."""
    message = check.look(subject) if check.slow <= slow else None
    return None if message is None else Finding(check.code, check.severity, message, check.remedy)
