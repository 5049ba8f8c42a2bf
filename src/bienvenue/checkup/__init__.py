"""The check-up: what is wrong with the configuration and the machine, and what to do about it.

Every check has a code that never changes its meaning; docs/guide/checkup.md lists them. A check
reads and changes nothing: `bienvenue check` runs all of them, `bienvenue serve` all except the
slow ones before it listens (ASVS 13.2.3, 13.3.1, 13.4.2).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bienvenue.checkup import checks as _checks  # noqa: F401 (the import fills CHECKS)
from bienvenue.checkup import emails as _emails  # noqa: F401 (as above)
from bienvenue.checkup import failures as _failures  # noqa: F401 (as above)
from bienvenue.checkup.circumstances import CHECKS, Circumstances, Severity

__all__ = ["CHECKS", "CheckupProblem", "Circumstances", "Finding", "Severity"]


class CheckupProblem(Exception):
    """The check-up found errors; the message names each and what to do."""


@dataclass(frozen=True)
class Finding:
    """One problem: the code of its check, its severity, a sentence, and what to do."""

    code: str
    severity: Severity
    message: str
    remedy: str


def run(around: Circumstances, *, slow: bool = False) -> list[Finding]:
    """Run all checks, the slow ones only if `slow`, and return the findings in order."""
    return [
        Finding(check.code, check.severity, message, check.remedy)
        for check in CHECKS
        if check.slow <= slow and (message := check.look(around)) is not None
    ]


def lines(findings: list[Finding]) -> Iterator[str]:
    """Yield the findings as lines of text, and a last line that counts them."""
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
    """Return the findings as a JSON object."""
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
    """Raise CheckupProblem if any finding is an error."""
    errors = [found for found in findings if found.severity is Severity.ERROR]
    if errors:
        text = "\n".join(f"{found.code} {found.message} {found.remedy}" for found in errors)
        raise CheckupProblem(f"{text}\n`bienvenue serve --despite-errors` serves all the same.")
