"""audit: sealing, and finding out who changed the past."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
from pathlib import Path

import pytest

from bienvenue import Auth, clock, key_file
from bienvenue.authentication import CODE
from bienvenue.feature import Event
from bienvenue.features.audit import Report, commands, operations
from bienvenue.features.audit.models import digest, sealed_text
from bienvenue.key_ring import KeyRing
from tests.conftest import Clock, MakeService, Service
from tests.databases import Databases
from tests.features.audits import run, sealed, stored, tamper, tampered
from tests.races import race

pytestmark = pytest.mark.statements


def write(auth: Auth, times: int, ip: str = "192.0.2.7") -> None:
    """Let things happen."""
    for _ in range(times):
        auth.publish(Event(CODE, "password.refused", 1, {"ip": ip}))


@pytest.fixture
def chain(service: Service, moving_clock: Clock) -> Auth:
    """A record of three batches of three rows, a minute apart, and one row not sealed yet."""
    for _ in range(3):
        write(service.auth, 3)
        service.auth.audit.seal()
        moving_clock.forward(60)
    write(service.auth, 1)
    return service.auth


def ids(auth: Auth, batch: int | None) -> list[int]:
    """The rows of a batch."""
    return [row.id for row in stored(auth) if row.batch == batch]


def problem(auth: Auth, head: str | None = None) -> str:
    """What verification says is wrong."""
    found: Report = auth.audit.verify(head)
    assert found.problem is not None
    return found.problem


def test_an_empty_record_is_whole(service: Service) -> None:
    """Nothing happened, and nothing is sealed."""
    assert service.auth.audit.seal() == 0
    report = service.auth.audit.verify()
    assert (report.problem, report.batches, report.rows, report.head) == (None, 0, 0, None)


def test_a_chain_is_whole(chain: Auth) -> None:
    """Sealed rows are counted, and so is what waits for its seal."""
    report = chain.audit.verify()
    assert (report.problem, report.batches, report.rows, report.unsealed) == (None, 3, 9, 1)
    assert [(seal.batch, seal.size) for seal in sealed(chain)] == [(1, 3), (2, 3), (3, 3)]
    assert report.head == f"3:{sealed(chain)[-1].mac[:32]}"


def test_the_head_is_logged_once_it_is_committed(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """And the chain passes through every head that was logged."""
    caplog.set_level(logging.INFO, "bienvenue.audit")
    heads = []
    for _ in range(3):
        write(service.auth, 1)
        service.auth.work()
        heads.append(caplog.messages[-1].rpartition(" ")[2])
    for head in heads:
        report = service.auth.audit.verify(head)
        assert (report.problem, report.compared) == (None, True)
    assert heads[-1] == service.auth.audit.verify().head


def test_batches_are_of_bounded_size(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog is sealed in as many as it takes."""
    monkeypatch.setattr(operations, "BATCH", 4)
    write(service.auth, 10)
    assert service.auth.audit.seal() == 10
    assert [seal.size for seal in sealed(service.auth)] == [4, 4, 2]
    assert service.auth.audit.verify().rows == 10


def test_sealers_at_once_seal_each_row_once(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four processes' worth of sealers, while things go on happening."""
    monkeypatch.setattr(operations, "BATCH", 5)
    services = [make_service() for _ in range(4)]
    auth = services[0].auth
    write(auth, 60)

    def work(number: int) -> int:
        if number >= 4:
            write(auth, 5)
            return 0
        return services[number].auth.audit.seal()

    total = sum(race(work, 8))
    total += auth.audit.seal()
    report = auth.audit.verify()
    assert (report.problem, total, report.rows, report.unsealed) == (None, 80, 80, 0)


def test_a_row_that_commits_late_is_sealed_later(
    databases: Databases, make_service: MakeService
) -> None:
    """Its id and time are lower than those of rows sealed before it (PostgreSQL)."""
    url = databases.fresh("postgresql")
    auth = make_service(database_url=url).auth
    go, wrote = threading.Event(), threading.Event()

    def late() -> None:
        with auth._db.transaction():
            write(auth, 1)
            wrote.set()
            go.wait(180)

    slow = threading.Thread(target=late)
    slow.start()
    assert wrote.wait(180)
    write(auth, 2)
    assert auth.audit.seal() == 2
    go.set()
    slow.join(180)
    assert auth.audit.seal() == 1
    (first, *_) = stored(auth)
    assert (first.batch, auth.audit.verify().problem) == (2, None)
    auth.close()
    databases.drop(url)


def test_a_row_of_a_lower_number_and_an_earlier_time_is_sealed_later(service: Service) -> None:
    """Batches are assigned: no range of ids or times is taken for complete."""
    write(service.auth, 2)
    service.auth.audit.seal()
    tamper(
        service.auth,
        "INSERT INTO audit_log (id, at, name, facts, times)"
        " VALUES (-1, 5, 'account.enabled', '{}', 1)",
    )
    assert service.auth.audit.seal() == 1
    assert ids(service.auth, 2) == [-1]
    assert service.auth.audit.verify().problem is None


def test_a_counted_row_is_sealed_after_its_minute(service: Service, moving_clock: Clock) -> None:
    """And what is counted for that minute still later is a row of its own, in a later batch."""
    reached = Event(CODE, "rate_limit.reached", None, {"policy": "account"}, counted="key")
    moving_clock.time += 60 - moving_clock.time % 60
    service.auth.publish(reached)
    moving_clock.forward(59)
    assert service.auth.audit.seal() == 0
    service.auth.publish(reached)
    moving_clock.forward(1)
    assert service.auth.audit.seal() == 1
    moving_clock.forward(-1)
    service.auth.publish(reached)
    moving_clock.forward(1)
    assert service.auth.audit.seal() == 1
    assert [(row.times, row.batch) for row in stored(service.auth)] == [(2, 1), (1, 2)]
    assert service.auth.audit.verify().problem is None


def test_counting_and_sealing_at_once_lose_nothing(service: Service, moving_clock: Clock) -> None:
    """A row is counted before it is sealed or another is begun: never both, never neither."""
    reached = Event(CODE, "rate_limit.reached", None, {"policy": "account"}, counted="key")

    def act(number: int) -> None:
        if number % 5 == 0:
            # The sealer's minute is over while others still count for it.
            moving_clock.forward(60)
            service.auth.audit.seal()
        else:
            service.auth.publish(reached)

    race(act, 30)
    moving_clock.forward(60)
    service.auth.audit.seal()
    assert sum(row.times for row in stored(service.auth)) == 24
    report = service.auth.audit.verify()
    assert (report.problem, report.unsealed) == (None, 0)


CHANGES = [
    'facts = \'{"reason":"nothing"}\'',
    "at = at - 1",
    "name = 'account.enabled'",
    "user_id = 2",
    "user_id = NULL",
    "times = 2",
    "commitment = NULL",
]


def test_a_changed_row_is_named(chain: Auth) -> None:
    """By its number and by the time it had."""
    row = ids(chain, 2)[1]
    named = f"Row {row} of 2027-01-15T08:01:00Z, in batch 2, was changed."
    for change in CHANGES:
        with tampered(chain, f"UPDATE audit_log SET {change} WHERE id = :row", row=row):
            assert problem(chain) == named, change
    assert chain.audit.verify().problem is None


def test_a_removed_row_is_named(chain: Auth) -> None:
    """Though nothing of it is left but its place in the seal."""
    row = ids(chain, 2)[1]
    tamper(chain, "DELETE FROM audit_log WHERE id = :row", row=row)
    assert problem(chain) == f"Row {row} of 2027-01-15T08:01:00Z is missing from batch 2."


def test_an_added_row_is_named(chain: Auth) -> None:
    """Whether the batch it claims has a seal or not."""
    added = (
        "INSERT INTO audit_log (id, at, name, facts, times, batch)"
        " VALUES (99, 1800000000, 'account.enabled', '{}', 1, :batch)"
    )
    for batch in (2, 4, 0, -1):
        with tampered(chain, added, batch=batch):
            said = problem(chain)
        assert "ow 99 of 2027-01-15T08:00:00Z" in said
        assert f"batch {batch}" in said


def test_a_row_added_for_a_batch_to_come_is_found(chain: Auth) -> None:
    """The sealer of that batch takes no row that is not its own."""
    tamper(
        chain,
        "INSERT INTO audit_log (id, at, name, facts, times, batch)"
        " VALUES (99, 1e300, 'account.enabled', '{}', 1, 4)",
    )
    assert chain.audit.seal() == 1
    assert problem(chain) == "Row 99 of 1e+300 was added to batch 4 after it was sealed."


def test_swapped_batches_are_found(chain: Auth) -> None:
    """Rows that change places with those of another batch, with or without their seals."""
    for a, b in ((2, 99), (3, 2), (99, 3)):
        tamper(chain, "UPDATE audit_log SET batch = :b WHERE batch = :a", a=a, b=b)
    assert "batch 2" in problem(chain)
    for a, b in ((2, 99), (3, 2), (99, 3)):
        tamper(chain, "UPDATE audit_batches SET batch = :b WHERE batch = :a", a=a, b=b)
    assert problem(chain) == "The seal of batch 2 does not follow the one before."


def test_a_row_moved_into_another_batch_is_found(chain: Auth) -> None:
    """It is missing where it was."""
    row = ids(chain, 1)[2]
    tamper(chain, "UPDATE audit_log SET batch = 2 WHERE id = :row", row=row)
    assert problem(chain) == f"Row {row} of 2027-01-15T08:00:00Z is missing from batch 1."


def test_a_removed_seal_is_found(chain: Auth) -> None:
    """The first, one between, and the last, whose rows still say they were sealed."""
    for batch in (1, 2, 3):
        with tampered(chain, "DELETE FROM audit_batches WHERE batch = :batch", batch=batch):
            assert problem(chain).startswith(f"The seal of batch {batch} is missing")


def test_an_unsealed_row_of_the_past_is_missing(chain: Auth) -> None:
    """Taking a row out of its batch, to have it sealed again, is taking it away."""
    row = ids(chain, 2)[0]
    tamper(chain, "UPDATE audit_log SET batch = NULL, user_id = 2 WHERE id = :row", row=row)
    chain.audit.seal()
    assert problem(chain) == f"Row {row} of 2027-01-15T08:01:00Z is missing from batch 2."


def test_a_changed_seal_is_found(chain: Auth) -> None:
    """Nothing on a seal can be changed without the key."""
    for change in ("at = at + 1", "size = 2", "rows = '[]'", "mac = 'x'"):
        with tampered(chain, f"UPDATE audit_batches SET {change} WHERE batch = 2"):
            assert problem(chain).startswith("The seal of batch 2 is broken"), change


def test_a_changed_personal_value_is_named(chain: Auth) -> None:
    """It does not match what was sealed, nor does moving a part of it into the salt."""
    row = ids(chain, 1)[1]
    tamper(chain, "UPDATE audit_personal SET content = '{}' WHERE row_id = :row", row=row)
    wrong = f"The personal values of row {row} of 2027-01-15T08:00:00Z were changed."
    assert problem(chain) == wrong
    tamper(
        chain,
        "UPDATE audit_personal SET salt = '', content = salt || content WHERE row_id = :row",
        row=row,
    )
    assert problem(chain) == wrong


def test_personal_values_put_where_none_were_are_found(service: Service) -> None:
    """A row that had none has none."""
    service.auth.publish(Event(CODE, "account.enabled", 1))
    service.auth.audit.seal()
    (row,) = ids(service.auth, 1)
    tamper(
        service.auth,
        "INSERT INTO audit_personal (row_id, at, salt, content) VALUES (:row, 1, 'x', '{}')",
        row=row,
    )
    assert f"personal values of row {row}" in problem(service.auth)


def test_erased_personal_values_are_no_error(chain: Auth) -> None:
    """They are counted."""
    tamper(chain, "DELETE FROM audit_personal")
    report = chain.audit.verify()
    assert (report.problem, report.rows, report.erased) == (None, 9, 9)


def test_a_chain_computed_again_without_the_key_is_found(chain: Auth) -> None:
    """Anyone who can write the tables can follow every rule but this one."""
    row = ids(chain, 2)[1]
    tamper(chain, "UPDATE audit_log SET user_id = 2 WHERE id = :row", row=row)
    previous = sealed(chain)[0].mac
    for seal in sealed(chain)[1:]:
        rows = [row for row in stored(chain) if row.batch == seal.batch]
        listed = json.dumps(sorted((row.id, row.at, digest(row)) for row in rows))
        text = sealed_text(seal.batch, seal.at, len(rows), previous, listed)
        mac = hmac.new(b"\0" * 32, text, hashlib.sha256).hexdigest()
        tamper(
            chain,
            "UPDATE audit_batches SET rows = :rows, previous = :previous, mac = :mac"
            " WHERE batch = :batch",
            rows=listed,
            previous=previous,
            mac=mac,
            batch=seal.batch,
        )
        previous = mac
    assert problem(chain).startswith("The seal of batch 2 is broken")


def cut_tail(auth: Auth) -> None:
    """Remove the last batch together with its seal, and what was to come."""
    tamper(auth, "DELETE FROM audit_log WHERE batch IS NULL OR batch = 3")
    tamper(auth, "DELETE FROM audit_batches WHERE batch = 3")


def test_a_cut_tail_shows_beside_the_head_of_the_log(chain: Auth) -> None:
    """Without it the report says that this is what it cannot see."""
    head = chain.audit.verify().head
    cut_tail(chain)
    report = chain.audit.verify()
    assert report.problem is None
    assert "tail cut off" in report.blind
    assert problem(chain, head) == (
        "The log names batch 3, and the audit log ends with batch 2: its tail was cut off."
    )
    write(chain, 3)
    chain.audit.seal()
    assert problem(chain, head) == "The seal of batch 3 is not the one of the log."
    assert "tail" not in chain.audit.verify(chain.audit.verify().head).blind


def test_a_chain_holds_across_keys(service: Service) -> None:
    """What an older key of the ring sealed is whole; under no key of it, nothing is."""
    old, new, other = b"o" * 32, b"n" * 32, b"x" * 32
    for ring in ([old], [new, old]):
        service.auth.registry.keys = KeyRing(ring)
        write(service.auth, 1)
        service.auth.audit.seal()
    assert service.auth.audit.verify().problem is None
    service.auth.registry.keys = KeyRing([other])
    assert problem(service.auth).startswith("The seal of batch 1 is broken")


def key_of(auth: Auth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a service a key file of its own, which it reads at most once an hour by itself."""
    file = tmp_path / "rotated"
    auth.registry.keys = key_file.read_or_make(file)
    monkeypatch.setattr(key_file, "CHECK_EVERY", 3600.0)
    return file


def rotate(auth: Auth, file: Path) -> str:
    """Rotate and retire, as the commands do; give the fingerprint of the retired key."""
    old = key_file.read(file).fingerprints()[0]
    key_file.rotate(file)
    with auth.audit.sealing_paused() as newest:
        key_file.retire(file, old, newest)
    return old


def test_retired_keys_go_on_verifying_what_they_sealed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three changes, each in the moment between two batches; a process sees it before it seals."""
    file = key_of(service.auth, tmp_path, monkeypatch)
    for batch in range(4):
        write(service.auth, 1)
        service.auth.audit.seal()
        assert service.auth.audit.verify().problem is None
        if batch < 3:
            rotate(service.auth, file)
    service.auth.registry.keys = key_file.read(file)
    report = service.auth.audit.verify()
    assert (report.problem, report.batches, report.rows) == (None, 4, 4)
    assert [last for _, last in service.auth.keys.retired()] == [3, 2, 1]


@pytest.mark.thorough
def test_a_year_of_batches_under_twelve_keys_is_whole(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moving_clock: Clock
) -> None:
    """A batch a day, a new key a month, the old one retired a day later, as the guide says."""
    file = key_of(service.auth, tmp_path, monkeypatch)
    for day in range(365):
        write(service.auth, 1)
        service.auth.audit.seal()
        moving_clock.forward(86400)
        if day % 30 == 15:
            key_file.rotate(file)
        if day % 30 == 16:
            with service.auth.audit.sealing_paused() as newest:
                key_file.retire(file, key_file.read(file).fingerprints()[1], newest)
    service.auth.registry.keys = key_file.read(file)
    report = service.auth.audit.verify()
    assert (report.problem, report.batches) == (None, 365)
    assert run(service, commands.verify).exit_code == 0
    assert len(service.auth.keys.retired()) == 12


def test_a_retired_key_seals_nothing_more(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever kept it appends a batch that follows the chain, however far its time is set back."""
    file = key_of(service.auth, tmp_path, monkeypatch)
    leaked = KeyRing([bytes.fromhex(file.read_text())])
    write(service.auth, 2)
    service.auth.audit.seal()
    rotate(service.auth, file)
    write(service.auth, 1)
    service.auth.audit.seal()
    service.auth.registry.keys = leaked
    write(service.auth, 1)
    monkeypatch.setattr(clock, "now", lambda: 1.0)
    service.auth.audit.seal()
    service.auth.registry.keys = key_file.read(file)
    assert problem(service.auth).startswith("The seal of batch 3 is broken")


def test_sealers_and_a_change_of_keys_at_once_leave_a_whole_chain(
    make_service: MakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No batch is sealed under a key that is retired in that moment."""
    services = [make_service() for _ in range(3)]
    auth = services[0].auth
    file = key_of(auth, tmp_path, monkeypatch)
    for other in services:
        other.auth.registry.keys = key_file.read(file)
    monkeypatch.setattr(operations, "BATCH", 2)
    write(auth, 40)

    def act(number: int) -> None:
        if number == 3:
            for _ in range(3):
                rotate(auth, file)
        else:
            services[number].auth.audit.seal()

    race(act, 4)
    auth.audit.seal()
    auth.registry.keys = key_file.read(file)
    report = auth.audit.verify()
    assert (report.problems, report.rows, report.unsealed) == ((), 40, 0)


def test_a_broken_batch_does_not_hide_the_later_ones(chain: Auth, service: Service) -> None:
    """Every batch is looked at, whatever is wrong with the one before."""
    last = ids(chain, 3)[1]
    tamper(chain, "UPDATE audit_batches SET mac = 'x' WHERE batch = 1")
    tamper(chain, "DELETE FROM audit_log WHERE id = :row", row=last)
    report = chain.audit.verify()
    assert [found.partition(" of 2027")[0].partition(":")[0] for found in report.problems] == [
        "The seal of batch 1 is broken",
        f"Row {last}",
    ]
    assert (report.batches, report.rows, report.unlisted) == (2, 5, 0)
    tamper(chain, "DELETE FROM audit_batches WHERE batch <= 2")
    said = run(service, commands.verify)
    assert said.exit_code == 1
    assert said.output.startswith(f"The seals of batches 1 to 2 are missing.\nRow {last} of ")
    assert "sealed: 2 rows in 1 batches" in said.output


def test_a_report_names_twenty_problems_and_counts_the_others(service: Service) -> None:
    """Of a table that was changed as a whole."""
    write(service.auth, 25)
    service.auth.audit.seal()
    tamper(service.auth, "UPDATE audit_log SET user_id = 2")
    report = service.auth.audit.verify()
    assert (len(report.problems), report.unlisted, report.rows) == (20, 5, 0)
    assert "\nand 5 more\n" in run(service, commands.verify).output


def test_the_command_says_whether_it_is_whole(chain: Auth, service: Service) -> None:
    """By its status too, and it always says what it cannot see."""
    whole = run(service, commands.verify)
    assert whole.exit_code == 0
    assert whole.output.startswith("The audit log is intact.\nsealed: 9 rows in 3 batches;")
    assert "head: 3:" in whole.output
    tamper(chain, "DELETE FROM audit_log WHERE id = 5")
    broken = run(service, commands.verify)
    assert broken.exit_code == 1
    assert broken.output.startswith("Row 5 of 2027-01-15")
    assert "head: " not in broken.output
    for done in (whole, broken):
        assert "What this cannot see" in done.output


def test_the_command_compares_a_head(chain: Auth, service: Service) -> None:
    """Status 2 when it is none."""
    head = str(chain.audit.verify().head)
    assert run(service, commands.verify, "--head", head).exit_code == 0
    for wrong in ("3", "3:xyz", head[:10], "0" + head):
        assert run(service, commands.verify, "--head", wrong).exit_code == 2
    cut_tail(chain)
    assert run(service, commands.verify, "--head", head).exit_code == 1
