"""The checks: small functions, each with its code, its severity, and what to do."""

import stat
import time
from pathlib import Path

from sqlalchemy import text

from bienvenue import clock, disk_space, key_file, schema, version
from bienvenue.checkup.context import CheckupContext, check
from bienvenue.db import DatabaseUnavailable
from bienvenue.finding import Severity
from bienvenue.hashing import Hasher
from bienvenue.key_ring import KeyProblem
from bienvenue.schema import State

LEAST_COST = 10
FASTEST, SLOWEST = 0.05, 1.0
"""Bounds in seconds for one hash: below, guessing is cheap; above, sign-in is slow."""

LEAST_ROOM = 256 * 2**20
"""Free bytes of disk below which the service may soon stop."""

LEAST_LENGTH = 15
"""Least characters of a password that is the only factor (NIST SP 800-63B-4 section 3.1.1.2)."""

LONGEST_SESSION = 30 * 86400

SEALED_WITHIN = 600.0
"""Seconds after which a running worker has sealed a row of the audit log."""

_ACROSS_A_NETWORK = {
    "9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "lustre", "nfs",
    "nfs4", "smb2", "smb3", "smbfs", "virtiofs",
}  # fmt: skip
_MOUNTS = Path("/proc/self/mounts")


# --- keys and files -----------------------------------------------------------------------------


@check(
    "BV001",
    Severity.ERROR,
    "Make a good one with `bienvenue keys new FILE`; only the service may read it.",
)
def weak_key(around: CheckupContext) -> str | None:
    """Find a key file that is missing, cannot be read, or has a weak key."""
    try:
        file = key_file.file_of(around.settings)
        # The first start creates the file of the instance folder.
        if around.core.secret_key_file is not None or file.exists():
            key_file.read(file)
    except KeyProblem as problem:
        return f"There is no good key: {problem}"
    return None


@check(
    "BV002",
    Severity.ERROR,
    "Run `chmod 600` on it. If anyone else may have read it, run `bienvenue keys rotate` and "
    "retire the old key.",
)
def open_key_file(around: CheckupContext) -> str | None:
    """Find a key file that other users of this machine can read or change."""
    return _open_to_others("key file", around.settings.key_file)


@check(
    "BV003",
    Severity.ERROR,
    "Run `chmod 600` on it. If anyone else may have read it, they have every email and hash.",
)
def open_database_file(around: CheckupContext) -> str | None:
    """Find a SQLite file that other users of this machine can read or change."""
    if around.file is None:
        return None
    files = (around.file.with_name(around.file.name + end) for end in ("", "-wal", "-shm"))
    return next(filter(None, (_open_to_others("database file", file) for file in files)), None)


def _open_to_others(what: str, file: Path) -> str | None:
    try:
        file = file.resolve(strict=True)
        reachable = all(folder.stat().st_mode & stat.S_IXOTH for folder in file.parents)
        mode = file.stat().st_mode
    except OSError:
        return None
    if not (reachable and mode & (stat.S_IROTH | stat.S_IWOTH)) and not mode & stat.S_IWGRP:
        return None
    return f"Other people of this machine can read or change the {what} {file}."


# --- how people reach it ------------------------------------------------------------------------


@check(
    "BV004",
    Severity.ERROR,
    "Put a proxy that speaks TLS in front and set BIENVENUE_BASE_URL to its https URL.",
)
def passwords_in_clear(around: CheckupContext) -> str | None:
    """Find an http base URL of another host, with a listening ip that others can reach."""
    if around.settings.https or around.bind_is_here or around.base_is_here:
        return None
    return f"People reach {around.settings.base_url}: passwords cross the network readable."


@check(
    "BV005",
    Severity.WARNING,
    "Set BIENVENUE_BASE_URL to the https URL people use; on this machine alone, set "
    "BIENVENUE_HOST=127.0.0.1.",
)
def half_public(around: CheckupContext) -> str | None:
    """Find http where only one of base URL and listening ip is local to this machine."""
    if around.settings.https or around.bind_is_here == around.base_is_here:
        return None
    if around.base_is_here:
        return f"The base URL is plain http, and others can reach the ip {around.core.host}."
    return f"The base URL {around.settings.base_url} is plain http, and its cookies not Secure."


@check(
    "BV006",
    Severity.NOTE,
    "Let only the proxy reach this port, and name its network with BIENVENUE_TRUSTED_PROXIES.",
)
def way_around_the_proxy(around: CheckupContext) -> str | None:
    """Find an https base URL, a listening ip that others can reach, and no trusted proxy."""
    own = around.bind_is_here or around.settings.tls
    if not around.settings.https or own or around.settings.trusted:
        return None
    where = f"{around.core.host} port {around.core.port}"
    return f"The base URL is https, and {where} speaks plain http to everyone who reaches it."


@check("BV007", Severity.ERROR, "Unset FLASK_DEBUG, and never set `app.debug` in production.")
def debug(around: CheckupContext) -> str | None:
    """Find Flask's debug mode."""
    return "Flask's debug mode is on: errors show code and values." if around.debug else None


@check(
    "BV008",
    Severity.WARNING,
    "Name its network, as BIENVENUE_TRUSTED_PROXIES=127.0.0.1, or `unix` for a unix socket, and "
    "let it set X-Forwarded-For.",
)
def untrusted_proxy(around: CheckupContext) -> str | None:
    """Find signs of a proxy in front of the service while none is trusted.

    The signs are a unix socket, or a local listening ip with an https base URL or another host.
    """
    tls_elsewhere = around.settings.https and not around.settings.tls
    socket = around.core.unix_socket is not None
    behind = socket or (around.bind_is_here and (tls_elsewhere or not around.base_is_here))
    if not behind or around.settings.trusted:
        return None
    here = "the unix socket" if socket else around.core.host
    return (
        f"Between {around.settings.base_url} and {here} a proxy must stand, and none "
        "is trusted: all visitors count as one, and a hundred wrong passwords stop them all."
    )


@check("BV009", Severity.ERROR, "Name the networks of your proxies only.")
def everybody_is_trusted(around: CheckupContext) -> str | None:
    """Find trusted proxies that include every ip."""
    if not around.settings.trusted.everything():
        return None
    return "BIENVENUE_TRUSTED_PROXIES holds every ip: anyone can claim to come from anywhere."


# --- the database -------------------------------------------------------------------------------


@check("BV010", Severity.ERROR, "Make a copy and run `bienvenue db upgrade`.")
def pending_migrations(around: CheckupContext) -> str | None:
    """Find a database without tables, or tables of an earlier version."""
    if around.database in {State.EMPTY, State.BEHIND}:
        return f"The database is not at version {schema.newest()} yet."
    if around.database is State.CURRENT and around.pending:
        return f"The tables of {', '.join(around.pending)} are not at this program's version yet."
    return None


@check(
    "BV011",
    Severity.ERROR,
    "Give the service a database of its own with BIENVENUE_DATABASE_URL, or its tables their own "
    "names with BIENVENUE_TABLE_PREFIX and BIENVENUE_DATABASE_SCHEMA, or run the version that "
    "wrote this one.",
)
def other_schema(around: CheckupContext) -> str | None:
    """Find a database of a later version, or one that belongs to another program."""
    if around.database is State.AHEAD:
        return "A later version of the service wrote this database."
    if around.database is State.FOREIGN:
        return "The database has a table of a name of ours that is not ours."
    if around.database is State.ELSEWHERE:
        return "The tables of the service are under another prefix or schema of this database."
    return None


@check("BV012", Severity.ERROR, "Start it, or correct BIENVENUE_DATABASE_URL.")
def database_away(around: CheckupContext) -> str | None:
    """Find a database that is unavailable."""
    if not isinstance(around.database, DatabaseUnavailable):
        return None
    return f"The database cannot answer: {' '.join(str(around.database).split())}."


@check(
    "BV013",
    Severity.NOTE,
    "`bienvenue serve` makes it. If you expected one, look at BIENVENUE_INSTANCE and at the folder "
    "this is run in.",
)
def no_database_yet(around: CheckupContext) -> str | None:
    """Find a SQLite database without a file."""
    return f"There is no database {around.file} yet." if around.database is None else None


@check(
    "BV014",
    Severity.WARNING,
    "Set the clock and keep it right with NTP: sessions and limits live by it.",
)
def wrong_clock(around: CheckupContext) -> str | None:
    """Find a clock before this version's release, or one that differs from the database's."""
    now = clock.now()
    if now < version.EARLIEST:
        return f"The clock shows {clock.written(now)}, before this version was made."
    theirs = _clock_of_the_database(around)
    if theirs is None or abs(theirs - now) <= clock.APART:
        return None
    return f"The clocks here and at the database are {abs(theirs - now):.0f} seconds apart."


def _clock_of_the_database(around: CheckupContext) -> float | None:
    if not isinstance(around.database, State):
        return None
    seconds = "extract(epoch FROM clock_timestamp())"
    if not around.db.on_postgresql:
        seconds = "(julianday('now') - 2440587.5) * 86400"
    try:
        with around.db.connect(writes=False) as connection:
            return float(connection.execute(text(f"SELECT {seconds}")).scalar_one())
    except DatabaseUnavailable:
        return None


# --- passwords and sessions ---------------------------------------------------------------------


@check(
    "BV015",
    Severity.ERROR,
    "Leave BIENVENUE_BCRYPT_COST at 12; sign-ins then replace the weak hashes.",
)
def cheap_hashes(around: CheckupContext) -> str | None:
    """Find a bcrypt cost at which the passwords of a stolen table are guessed quickly."""
    cost = around.auth.passwords.settings.bcrypt_cost
    if cost >= LEAST_COST:
        return None
    return f"bcrypt costs {cost} only: guessing passwords of a stolen table is fast."


@check(
    "BV016",
    Severity.WARNING,
    "Measure again when the machine is idle, and choose BIENVENUE_BCRYPT_COST so that a hash takes "
    "50 ms to 1 s: each step doubles the time.",
    slow=True,
)
def speed_of_a_hash(around: CheckupContext) -> str | None:
    """Measure the time of one hash on this machine."""
    cost = around.auth.passwords.settings.bcrypt_cost
    started = time.perf_counter()
    Hasher(cost).pretend("how long does it take")
    took = time.perf_counter() - started
    if FASTEST <= took <= SLOWEST:
        return None
    return f"A hash at cost {cost} takes this machine {took * 1000:.0f} ms."


@check(
    "BV017",
    Severity.NOTE,
    "Unset BIENVENUE_COOKIE_DOMAIN unless all of them are yours and as safe as this one.",
)
def shared_cookie(around: CheckupContext) -> str | None:
    """Find a session cookie that other hosts share."""
    domain = around.core.cookie_domain
    return None if domain is None else f"Every host under {domain} can read and set the session."


@check(
    "BV018",
    Severity.WARNING,
    "Set BIENVENUE_PASSWORD_MIN_LENGTH=15; who has a shorter one keeps it until it is changed.",
)
def short_passwords(around: CheckupContext) -> str | None:
    """Find a minimum length below NIST's for a password that is the only factor."""
    least = around.auth.passwords.settings.password_min_length
    if least >= LEAST_LENGTH:
        return None
    return f"A password may have {least} characters; NIST asks for 15 where it is the only factor."


@check("BV019", Severity.WARNING, "Set BIENVENUE_SESSION_LIFETIME=30d or less.")
def long_sessions(around: CheckupContext) -> str | None:
    """Find a session lifetime above NIST's 30 days at AAL1 (SP 800-63B-4 section 2.1.3)."""
    lifetime = around.auth.sessions.settings.session_lifetime
    if lifetime <= LONGEST_SESSION:
        return None
    return f"A session lives for {lifetime / 86400:.0f} days, and so does a stolen one."


# --- the machine --------------------------------------------------------------------------------


@check("BV020", Severity.WARNING, "Make room.")
def little_room(around: CheckupContext) -> str | None:
    """Find a disk that is nearly full."""
    for file in (around.core.instance, around.file or around.core.instance):
        free = disk_space.free(file)
        # A full one is a finding of its own.
        if free < LEAST_ROOM and not disk_space.is_full(around.file):
            return f"The disk of {file} has {free // 2**20} MiB left; a full one stops the service."
    return None


@check("BV021", Severity.NOTE, "Put it on a local disk, or use PostgreSQL.")
def database_across_a_network(around: CheckupContext) -> str | None:
    """Find SQLite on a network file system, where its locks may not hold."""
    kind = "" if around.file is None else _file_system(around.file)
    if kind not in _ACROSS_A_NETWORK:
        return None
    return f"{around.file} is on {kind}, a network file system, where SQLite's locks may not hold."


@check(
    "BV022",
    Severity.WARNING,
    "Run `bienvenue serve`, or `bienvenue work` beside another server, and read its log.",
)
def unsealed_backlog(around: CheckupContext) -> str | None:
    """Find rows of the audit log that no worker seals."""
    if around.database is not State.CURRENT:
        return None
    try:
        waiting = around.auth.audit.backlog(clock.now() - SEALED_WITHIN)
    except DatabaseUnavailable:
        return None
    if not waiting:
        return None
    return f"Rows of the audit log have waited to be sealed for more than ten minutes: {waiting}."


def _file_system(file: Path) -> str:
    """Return the type of the file system of a file; "" where the system doesn't tell."""
    try:
        mounts = [line.split()[1:3] for line in _MOUNTS.read_text("utf-8").splitlines()]
    except OSError:
        return ""
    # Of two mounts on one path the later one counts, because it hides the other.
    kinds = {Path(place.replace("\\040", " ")): kind for place, kind in mounts}
    places = [file.resolve(), *file.resolve().parents]
    return next((kinds[place] for place in places if place in kinds), "")


@check(
    "BV023",
    Severity.ERROR,
    "Run `chmod 600` on it. If anyone else may have read it, get a certificate with another key.",
)
def open_tls_key(around: CheckupContext) -> str | None:
    """Find a TLS key that other users of this machine can read or change."""
    file = around.core.tls_key_file
    return None if file is None else _open_to_others("key of TLS", file)
