"""Loads the flat files of the course without leaving a trace of their names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

COURSE = Path(__file__).parents[2] / "course"

#: The names under which the files of the course import each other.
FLAT = ("user", "db", "auth", "app", "main")


def _forget() -> dict[str, ModuleType]:
    return {name: sys.modules.pop(name) for name in FLAT if name in sys.modules}


def load(*names: str) -> tuple[ModuleType, ...]:
    """Load these files of the course again; ``app`` opens ``a.db`` in the current folder.

    The files import each other by names that others may use too, so these names mean the course
    only while it loads. Files loaded in one call share each other; two calls share nothing.
    """
    elsewhere = _forget()
    sys.path.insert(0, str(COURSE))
    try:
        return tuple(importlib.import_module(name) for name in names)
    finally:
        sys.path.remove(str(COURSE))
        _forget()
        sys.modules.update(elsewhere)
