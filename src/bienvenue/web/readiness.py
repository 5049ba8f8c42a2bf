"""Readiness: whether the database can be asked yet."""

from collections.abc import Callable


class Readiness:
    """A check that every request makes until it passes once."""

    def __init__(self) -> None:
        """Begin ready; `check_first` says otherwise."""
        self._check: Callable[[], None] | None = None

    def check_first(self, check: Callable[[], None]) -> None:
        """Let requests make a check, which raises DatabaseUnavailable."""
        self._check = check

    def require(self) -> None:
        """Make the check, unless it passed before. Raises DatabaseUnavailable."""
        check = self._check
        if check is not None:
            check()
            self._check = None
