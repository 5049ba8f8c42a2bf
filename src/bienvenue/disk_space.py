"""Room on the disk: how much there is, and when too little is left to store a change."""

import shutil
from pathlib import Path

LEAST = 2**20
"""Free bytes below which SQLite soon stores no change any more."""


def free(file: Path) -> int:
    """Return the free bytes on the disk of a file, whether the file exists or not."""
    places = [file.absolute(), *file.absolute().parents]
    return shutil.disk_usage(next(place for place in places if place.exists())).free


def is_full(file: Path | None) -> bool:
    """Tell whether the disk of a SQLite file is full; PostgreSQL, None here, has its own disk."""
    return file is not None and free(file) < LEAST
