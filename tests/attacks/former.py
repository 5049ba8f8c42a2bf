"""A former system, as the settings of attacks name it: it runs in the process of the target."""

from __future__ import annotations

import os
import time
from pathlib import Path

THEIRS = "leur phrase de passe"
ANSWERS_IN = 0.4
"""Seconds it takes, so that a question shows on a clock."""


def check(email: str, password: str) -> bool:
    """Write down the question, and know everyone by one password."""
    instance = Path(os.environ["BIENVENUE_INSTANCE"])
    with (instance.parent / "asked").open("a") as asked:
        asked.write(f"{email}\n")
    time.sleep(ANSWERS_IN)
    return password == THEIRS
