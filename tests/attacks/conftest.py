"""The targets of a test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.builds import Builds
from tests.databases import Databases


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Builds]:
    """Start targets by name; all are stopped at the end."""
    made = Builds(tmp_path_factory.mktemp("targets"), databases)
    yield made
    made.close()
