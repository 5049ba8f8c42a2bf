"""How long the tests took: by folder, and the thirty slowest; printed and kept with each run."""

from __future__ import annotations

from pathlib import Path

import pytest

SLOWEST = 30
KEPT = Path(__file__).parents[1] / "build" / "test-times.txt"


class Times:
    """Adds up what each test took, its making ready and its clearing up among it."""

    def __init__(self) -> None:
        self._tests: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hear of one phase of a test, from whichever process ran it."""
        self._tests[report.nodeid] = self._tests.get(report.nodeid, 0.0) + report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the folders, and keep everything."""
        if not self._tests:
            return
        lines = self._lines()
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text("\n".join(lines) + "\n")
        shown = len(lines) - min(SLOWEST, len(self._tests)) - 1
        terminalreporter.write_line("")
        for line in lines[:shown]:
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"the {SLOWEST} slowest are in {KEPT.relative_to(Path.cwd())}")

    def _lines(self) -> list[str]:
        folders: dict[str, list[float]] = {}
        for test, seconds in self._tests.items():
            folder = "/".join(test.partition("::")[0].split("/")[:2])
            folders.setdefault(folder, []).append(seconds)
        taken = sorted(((sum(each), len(each), f) for f, each in folders.items()), reverse=True)
        total = sum(self._tests.values())
        slowest = sorted(self._tests.items(), key=lambda one: -one[1])[:SLOWEST]
        return [
            f"{total:8.1f} s of tests, {len(self._tests):5} of them, in all processes",
            *(f"{seconds:8.1f} s  {number:5}  {folder}" for seconds, number, folder in taken),
            f"the {SLOWEST} slowest:",
            *(f"{seconds:8.1f} s  {test}" for test, seconds in slowest),
        ]
