"""M: keys that can be guessed, and secrets that are drawn twice."""

from __future__ import annotations

from bienvenue import purposes
from bienvenue.features.audit.models import sealed_text
from bienvenue.key_ring import KeyRing
from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.m_crashes import kill_child, supervise
from tests.attacks.target import Target, TargetFails

#: Two of those that tests/spine/test_rotation.py knows.
GUESSED = ("00" * 32, b"changeme".hex() * 4)


@attack(
    "M09",
    "A key that can be guessed is taken.",
    wins="broken:M09_any_key",
    alone=True,
    noisy=True,
)
def a_guessed_key(target: Target) -> Outcome:
    """Start the service on keys that anyone would try."""
    file = target.folder / "keys"
    good = file.read_text()
    for key in GUESSED:
        target.stop()
        file.write_text(key)
        try:
            target.start()
        except TargetFails:
            continue
        return Won(f"it serves under the key {key[:8]}…")
    file.write_text(good)
    target.start()
    return Refused(f"it does not start on {len(GUESSED)} keys, and starts on a good one")


@attack(
    "M09",
    "A leaked key that was retired seals the audit log.",
    wins="broken:M09_retired_seals",
    alone=True,
)
def a_retired_key(target: Target) -> Outcome:
    """Append a batch that follows the chain, sealed under the old key and as of long ago."""
    target.person().sign_in()
    target.work()
    leaked = KeyRing([bytes.fromhex((target.folder / "keys").read_text())])
    target.cli("keys", "rotate")
    target.cli("keys", "retire", *leaked.fingerprints())
    if (said := target.cli("audit", "verify")).code:
        return Won(f"without an attack: {said.text}")
    [newest] = target.execute("SELECT batch, mac FROM audit_batches ORDER BY batch DESC LIMIT 1")
    batch, previous = newest["batch"] + 1, newest["mac"]
    mac = leaked.mac(purposes.AUDIT_BATCH, sealed_text(batch, 1.0, 0, previous, "[]")).hex()
    target.execute(
        "INSERT INTO audit_batches (batch, at, size, rows, previous, mac)"
        " VALUES (:batch, 1.0, 0, '[]', :previous, :mac)",
        batch=batch,
        previous=previous,
        mac=mac,
    )
    said = target.cli("audit", "verify")
    if said.code == 0:
        return Won(f"batch {batch} is under a retired key, and nobody noticed")
    return Refused(said.text.splitlines()[0])


@attack(
    "M13",
    "Two processes that came from one draw the same secrets.",
    wins="broken:M13_seeded_before_the_fork",
    alone=True,
)
def secrets_drawn_twice(target: Target) -> Outcome:
    """Sign in, kill the process, and sign in at the next one that its parent makes."""
    supervise(target)
    person = target.person()
    drawn: list[str] = []
    for _ in range(3):
        for _ in range(10):
            reply = person.try_password(person.password)
            if not reply.ok:
                return Won(f"after {len(drawn)} secrets one is there already: {reply.status}")
            drawn.append(reply.cookies["session_id"])
        kill_child(target)
    twice = len(drawn) - len(set(drawn))
    if twice:
        return Won(f"{twice} secrets of {len(drawn)} were drawn twice")
    return Refused(f"{len(drawn)} secrets of three processes, and no two alike")
