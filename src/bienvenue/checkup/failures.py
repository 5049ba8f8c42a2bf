"""The checks of what lets the service start and then fail or slow down: disk, TLS, a pooler."""

from bienvenue import connections, disk_space, tls
from bienvenue.checkup.context import CheckupContext, check
from bienvenue.db import DatabaseUnavailable
from bienvenue.finding import Severity
from bienvenue.settings import SettingsProblem


@check("BV028", Severity.ERROR, "Make room: until then every change is answered with 503.")
def full_disk(around: CheckupContext) -> str | None:
    """Find a disk on which SQLite can store no change."""
    if not disk_space.is_full(around.file):
        return None
    return f"The disk of {around.file} is full."


@check(
    "BV029",
    Severity.ERROR,
    "Set BIENVENUE_TLS_CERTIFICATE_FILE and BIENVENUE_TLS_KEY_FILE to a pair, both as PEM.",
)
def unusable_tls(around: CheckupContext) -> str | None:
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
def pooled(around: CheckupContext) -> str | None:
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


@check(
    "BV031",
    Severity.WARNING,
    "Serve on Linux, or let a proxy stand in front that bounds what one client may hold open.",
)
def connections_without_bounds(around: CheckupContext) -> str | None:
    """Find clients that connect without a proxy, on a system that cannot bound connections."""
    if around.bind_is_here or around.settings.trusted or connections.can_be_bounded():
        return None
    return "Clients connect to the service itself, and may hold all of its connections for ever."
