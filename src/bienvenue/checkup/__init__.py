"""The check-up: what is wrong with this configuration, here and now, and what to do about it.

Every finding has a number that never changes its meaning; docs/guide/checkup.md lists them. A
check looks and changes nothing: `bienvenue check` runs them all, `bienvenue serve` all but the
slow ones before it listens (ASVS 13.2.3, 13.3.1, 13.4.2).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bienvenue.checkup import checks as _checks  # noqa: F401 (reading them fills the list)
from bienvenue.checkup import emails as _emails  # noqa: F401 (and so does reading these)
from bienvenue.checkup.circumstances import CHECKS, Circumstances, Severity

__all__ = ["CHECKS", "CheckupProblem", "Circumstances", "Finding", "Severity"]


class CheckupProblem(Exception):
    """The check-up found errors; the message has each with what to do."""


@dataclass(frozen=True)
class Finding:
    """One thing found: its number, how bad it is, a sentence, and what to do."""

    code: str
    severity: Severity
    message: str
    remedy: str


def run(around: Circumstances, *, slow: bool = False) -> list[Finding]:
    """Run every check, the slow ones only if asked, and give what they find in order."""
    return [
        Finding(check.code, check.severity, message, check.remedy)
        for check in CHECKS
        if check.slow <= slow and (message := check.look(around)) is not None
    ]


def lines(findings: list[Finding]) -> Iterator[str]:
    """Write findings for a person; a line even when there is none."""
    for found in findings:
        yield f"{found.code} {found.severity.value}: {found.message}"
        yield f"    {found.remedy}"
    counts = [
        f"{number} {severity.value}{'s' if number > 1 else ''}"
        for severity in Severity
        if (number := sum(found.severity is severity for found in findings))
    ]
    yield f"{', '.join(counts) or 'nothing'} found in {len(CHECKS)} checks"


def document(findings: list[Finding]) -> dict[str, Any]:
    """Give findings for a program."""
    return {
        "checks": len(CHECKS),
        "findings": [
            {
                "code": found.code,
                "severity": found.severity.value,
                "message": found.message,
                "remedy": found.remedy,
            }
            for found in findings
        ],
    }


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Raise CheckupProblem if a finding is an error."""
    errors = [found for found in findings if found.severity is Severity.ERROR]
    if errors:
        said = "\n".join(f"{found.code} {found.message} {found.remedy}" for found in errors)
        raise CheckupProblem(f"{said}\n`bienvenue serve --despite-errors` serves all the same.")
