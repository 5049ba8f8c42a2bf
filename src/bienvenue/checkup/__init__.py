"""The check-up: what is wrong with the configuration and the machine, and what to do about it.

Every check has a code that never changes its meaning; docs/guide/checkup.md lists them. A check
reads and changes nothing: `bienvenue check` runs all of them, `bienvenue serve` all except the
slow ones before it listens (ASVS 13.2.3, 13.3.1, 13.4.2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bienvenue.checkup import checks as _checks  # noqa: F401 (the import fills CHECKS)
from bienvenue.checkup import emails as _emails  # noqa: F401 (as above)
from bienvenue.checkup import failures as _failures  # noqa: F401 (as above)
from bienvenue.checkup import places as _places  # noqa: F401 (as above)
from bienvenue.checkup.context import CHECKS, CheckupContext
from bienvenue.finding import Finding, Severity, found_by

__all__ = ["CHECKS", "CheckupContext", "CheckupProblem", "Finding", "Result", "Severity"]


class CheckupProblem(Exception):
    """The check-up found errors; the message names each and what to do."""


@dataclass(frozen=True)
class Result:
    """The findings in order, and how many checks there are, the slow ones included."""

    findings: list[Finding]
    checks: int

    @property
    def errors(self) -> list[Finding]:
        """The findings that keep `bienvenue serve` from starting."""
        return [found for found in self.findings if found.severity is Severity.ERROR]

    def lines(self) -> Iterator[str]:
        """Yield the findings as lines of text, and a last line that counts them."""
        for found in self.findings:
            yield f"{found.code} {found.severity.value}: {found.message}"
            yield f"    {found.remedy}"
        counts = [
            f"{number} {severity.value}{'s' if number > 1 else ''}"
            for severity in Severity
            if (number := sum(found.severity is severity for found in self.findings))
        ]
        yield f"{', '.join(counts) or 'nothing'} found in {self.checks} checks"

    def document(self) -> dict[str, Any]:
        """Return the findings as a JSON object."""
        return {
            "checks": self.checks,
            "findings": [
                {
                    "code": found.code,
                    "severity": found.severity.value,
                    "message": found.message,
                    "remedy": found.remedy,
                }
                for found in self.findings
            ],
        }


def run(around: CheckupContext, *, slow: bool = False) -> Result:
    """Run all checks of the service, then those of each feature; the slow ones only if `slow`."""
    brought = [(check, feature) for feature in around.auth.features for check in feature.checks]
    found = [
        *(found_by(check, around, slow=slow) for check in CHECKS),
        *(found_by(check, feature, slow=slow) for check, feature in brought),
    ]
    return Result([finding for finding in found if finding is not None], len(CHECKS) + len(brought))


def refuse_errors(result: Result) -> None:
    """Raise CheckupProblem if any finding is an error."""
    if result.errors:
        text = "\n".join(f"{found.code} {found.message} {found.remedy}" for found in result.errors)
        raise CheckupProblem(f"{text}\n`bienvenue serve --despite-errors` serves all the same.")
