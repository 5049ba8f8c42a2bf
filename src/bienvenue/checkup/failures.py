"""The checks of what lets the service start and then fail: a full disk, files of TLS."""

from bienvenue import room, tls
from bienvenue.checkup.circumstances import Circumstances, check
from bienvenue.finding import Severity
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
