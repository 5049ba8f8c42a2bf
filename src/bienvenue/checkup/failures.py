"""The checks of what lets the service start and then fail or slow down: disk, TLS, a pooler."""

from bienvenue import room, tls
from bienvenue.checkup.circumstances import Circumstances, Severity, check
from bienvenue.db import DatabaseUnavailable
from bienvenue.settings import SettingsProblem


@check("BV028", Severity.ERROR, "Make room: until then every change is answered with 503.")
def full_disk(around: Circumstances) -> str | None:
    """Find a disk on which SQLite can store no change."""
    if not room.is_full(around.file):
        return None
    return f"The disk of {around.file} is full."


@check(
    "BV029",
    Severity.ERROR,
    "Set BIENVENUE_TLS_CERTIFICATE_FILE and BIENVENUE_TLS_KEY_FILE to a pair, both as PEM.",
)
def unusable_tls(around: Circumstances) -> str | None:
    """Find a certificate or a key that is missing, or a pair that cannot be used."""
    try:
        tls.require_usable(around.core)
    except SettingsProblem as problem:
        return f"TLS cannot be used: {problem}."
    return None


@check(
    "BV030",
    Severity.NOTE,
    "Where there are few processes, let BIENVENUE_DATABASE_URL name PostgreSQL itself.",
)
def pooled(around: Circumstances) -> str | None:
    """Find a pooler in front of PostgreSQL, where no statement can be prepared."""
    try:
        if not (around.db.on_postgresql and around.db.pooled):
            return None
    except DatabaseUnavailable:
        # Another check finds this.
        return None
    return (
        "A pooler answers for PostgreSQL: no statement is prepared, and a session check is slower."
    )
