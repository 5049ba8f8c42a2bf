"""import_export: everybody in from CSV, JSON lines or a database, and everybody out again."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import bcrypt
import pytest
from sqlalchemy import create_engine, select, text
from werkzeug.security import generate_password_hash

from bienvenue import clock
from bienvenue.authentication import CODE, Caller, Channel
from bienvenue.feature import Event, Feature
from bienvenue.features.accounts import AccountDisabled, EmailTaken
from bienvenue.features.import_export import ImportedUser, LineResult, Report, UnreadableSource
from bienvenue.features.import_export import operations as import_operations
from bienvenue.features.import_export.sources import (
    LONGEST_LINE,
    Columns,
    Line,
    from_csv,
    from_database,
    from_json_lines,
)
from bienvenue.features.passwords import LOOKED_FOR, WrongCredentials
from bienvenue.hashing import Hasher
from bienvenue.settings import Section
from bienvenue.user_fields import UserField
from bienvenue.user_fields import text as read_text
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.databases import Databases
from tests.features import audits

HASH = generate_password_hash(PASSPHRASE, "scrypt:1024:8:1")
HANGUL = "\ud55c" * 25
HEAD = "email,password_hash\n"
AMY = Caller("operator amy", Channel.COMMAND)
BY_AMY = {"actor": "operator amy", "channel": "command line"}


def bring(service: Service, *lines: Mapping[str, Any], **options: Any) -> list[LineResult]:
    """Import these lines, and give what became of each."""
    heard: list[LineResult] = []
    columns = service.auth.import_export.columns()
    given = [columns.line(f"line {n}", line) for n, line in enumerate(lines, 1)]
    service.auth.import_export.import_lines(AMY, iter(given), heard.append, **options)
    return heard


def outcomes(heard: list[LineResult]) -> list[str]:
    """What became of each line, in a word."""
    return [each.outcome for each in heard]


def lines_of(text: str, **columns: Any) -> list[Line]:
    """Read a text of CSV."""
    return list(from_csv(io.StringIO(text, newline=""), all_columns(**columns)))


def all_columns(**given: Any) -> Columns:
    """Every field there is, with what a test says of columns."""
    known = frozenset({"email", "password_hash", "created_at", "active"})
    said: dict[str, Any] = {"renamed": {}, "ignored": frozenset(), "default": {}} | given
    return Columns(known, **said)


# --- what is brought along ----------------------------------------------------------------------


def test_a_person_comes_with_everything(service: Service, moving_clock: Clock) -> None:
    """And opens the account by the password of before; the hash is replaced then."""
    moving_clock.forward(0)
    uid = "961fc585-c633-4427-b88c-bec19cb8d22d"
    heard = bring(
        service,
        {
            "email": " Bob@Example.com",
            "uid": uid.upper(),
            "password_hash": HASH,
            "email_verified": "2024-05-02 10:00:00+02:00",
            "created_at": "2024-05-01T12:00:00",
            "last_sign_in_at": 1_740_000_000,
            "notification_email": "bob@home.example",
        },
    )
    assert heard == [LineResult("line 1", EMAIL, "created", "Werkzeug scrypt: opens")]
    user = service.auth.accounts.find(EMAIL)
    assert (user.uid, clock.written(user.created_at)) == (uid, "2024-05-01T12:00:00Z")
    told = service.auth.export(user.id)
    assert told["email_verified_at"] == "2024-05-02T08:00:00Z"
    assert told["notification_email"]["email"] == "bob@home.example"
    assert told["imported"] == {
        "imported_at": clock.written(clock.now()),
        "last_sign_in_at": clock.written(1_740_000_000),
        "disabled_reason": None,
    }
    assert service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).user.uid == uid
    assert service.auth.accounts.find(EMAIL).hashed_password.startswith("$2b$04$")
    assert audits.names(service.auth)[:2] == ["account.imported", "users.imported"]
    batch = audits.only(service.auth, "users.imported")
    assert (batch.facts, batch.user_id) == ({"accounts": 1} | BY_AMY, None)


def test_a_line_may_say_nothing_but_an_email(service: Service, moving_clock: Clock) -> None:
    """The account is of this moment, enabled, not verified, and no password opens it."""
    moving_clock.forward(0)
    (heard,) = bring(service, {"email": EMAIL, "password_hash": None, "uid": ""})
    assert heard.words == "no password: opens by resetting it"
    user = service.auth.accounts.find(EMAIL)
    assert (user.created_at, user.disabled_at, user.hashed_password) == (clock.now(), None, "!")
    assert service.auth.registration.verified_at(user.id) is None
    assert service.auth.export(user.id)["notification_email"] is None


@pytest.mark.parametrize(
    "unusable", ["!", "!vXiVHy4q35gUnEItC57SL7DZk0pZW3yt9YYyz8Yi", "*", "*LK*"]
)
def test_what_no_password_opens_elsewhere_opens_by_none_here(
    service: Service, unusable: str
) -> None:
    """Django and Unix begin such a hash so."""
    (heard,) = bring(service, {"email": EMAIL, "password_hash": unusable})
    assert (heard.outcome, heard.words) == ("created", "no password: opens by resetting it")
    with pytest.raises(WrongCredentials):
        service.auth.passwords.verify(CODE, EMAIL, unusable)


@pytest.mark.parametrize(
    ("said", "since"),
    [
        ({"disabled": "2024-05-01"}, "2024-05-01T00:00:00Z"),
        ({"disabled": True}, "now"),
        ({"active": 0}, "now"),
        ({"active": "yes"}, None),
        ({"disabled": "no", "active": "no"}, None),
    ],
)
def test_a_disabled_person_stays_so(
    service: Service, moving_clock: Clock, said: dict[str, Any], since: str | None
) -> None:
    """Since when and why; who enables the account forgets the reason."""
    moving_clock.forward(0)
    line = {"email": EMAIL, "password_hash": HASH, "disabled_reason": "never paid"}
    bring(service, line | said)
    user = service.auth.accounts.find(EMAIL)
    expected = clock.written(clock.now()) if since == "now" else since
    assert (None if user.disabled_at is None else clock.written(user.disabled_at)) == expected
    if since is None:
        assert service.auth.passwords.verify(CODE, EMAIL, PASSPHRASE).id == user.id
        return
    with pytest.raises(AccountDisabled):
        service.auth.passwords.verify(CODE, EMAIL, PASSPHRASE)
    assert service.auth.export(user.id)["imported"]["disabled_reason"] == "never paid"
    service.auth.accounts.enable(CODE, EMAIL)
    assert service.auth.export(user.id)["imported"]["disabled_reason"] is None


@pytest.mark.parametrize("verified", ["true", "t", "Yes", "1", 1, True, 1.0])
def test_who_was_verified_is(service: Service, verified: object) -> None:
    """Since now, where nothing says since when."""
    bring(service, {"email": EMAIL, "email_verified": verified if verified != 1.0 else "y"})
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.registration.verified_at(user.id) is not None


def test_the_email_of_the_account_is_no_other_one(service: Service) -> None:
    """Notices go there anyway."""
    bring(service, {"email": EMAIL, "notification_email": "BOB@example.com"})
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.notification_email.email_of(user.id) is None


def test_whoever_waits_for_a_letter_of_registering_waits_no_more(
    make_service: MakeService,
) -> None:
    """The account is there; the letter's link makes no other one and is found with the account."""
    service = make_service(
        smtp_host="127.0.0.1", smtp_security="none", mail_from="no-reply@example.org"
    )
    service.client().post("/users", data={"email": EMAIL, "password": PASSPHRASE})
    assert [email for email, *_ in service.auth.registration.list()] == [EMAIL]
    bring(service, {"email": EMAIL}, {"email": "amy@example.com"})
    assert service.auth.registration.list() == []
    user = service.auth.accounts.find(EMAIL)
    assert [each["to"] for each in service.auth.export(user.id)["emails"]] == [EMAIL]


# --- passwords that others take otherwise -------------------------------------------------------


@pytest.mark.parametrize("password", ["x" * 80, HANGUL, "cafe\u0301 cre\u0300me et 9 grenouilles"])
def test_what_others_cut_or_did_not_normalise_opens_and_is_ours_then(
    service: Service, password: str, hash_costs: list[int]
) -> None:
    """By one comparison, and one hash that replaces it; after that all of it counts."""
    made = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    bring(service, {"email": EMAIL, "password_hash": made})
    hash_costs.clear()
    assert service.auth.valid_login(EMAIL, password)
    assert hash_costs == [4, 4]
    service.auth.sessions.sign_in(CODE, EMAIL, password)
    stored = service.auth.accounts.find(EMAIL).hashed_password
    assert not stored.startswith("typed:")
    hash_costs.clear()
    assert service.auth.valid_login(EMAIL, password)
    assert hash_costs == [4]
    assert not service.auth.valid_login(EMAIL, f"{password[:-1]}!")


def test_flask_securitys_passwords_open_with_its_salt(make_service: MakeService) -> None:
    """The salt is a setting, since every sign-in needs it; without it no hash is taken."""
    made = json.loads((Path(__file__).parent / "data" / "foreign_hashes.json").read_text("utf-8"))
    theirs = [each for each in made if each["system"].startswith("Flask-Security")]
    lines = [
        {
            "email": f"p{n}@example.com",
            "password_hash": each["hash"],
            "password_text": "flask_security",
        }
        for n, each in enumerate(theirs)
    ]
    without = make_service()
    refused = bring(without, *lines)
    assert {each.words for each in refused} == {
        "password_hash needs BIENVENUE_FLASK_SECURITY_PASSWORD_SALT"
    }
    salt = "146585145368132386173505678016728509634"
    service = make_service(flask_security_password_salt=salt)
    assert set(outcomes(bring(service, *lines))) == {"created"}
    for line, each in zip(lines, theirs, strict=True):
        assert service.auth.valid_login(line["email"], each["password"])
        assert not service.auth.valid_login(line["email"], f"{each['password']}!")


# --- what a failure costs -----------------------------------------------------------------------


def test_a_failure_costs_more_as_long_as_a_hash_of_another_system_is_left(
    service: Service, moving_clock: Clock
) -> None:
    """The dearest of each family; an hour after the last was replaced it costs as before."""
    costs = service.auth.passwords.dearest
    cheap = generate_password_hash(PASSPHRASE, "scrypt:512:8:1")
    other = generate_password_hash(PASSPHRASE, "pbkdf2:sha256:1000")
    bring(service, {"email": "a@example.com", "password_hash": HASH})
    bring(
        service,
        {"email": "b@example.com", "password_hash": cheap},
        {"email": "c@example.com", "password_hash": other},
        {"email": "d@example.com", "password_hash": "{SSHA}Vvcp8IYXbbIVvcPhbB7dNUmTlmNzYWx0"},
    )
    assert costs() == {"scrypt": 1024 * 8, "pbkdf2-sha256": 1000}
    for email in ("a@example.com", "b@example.com", "c@example.com"):
        service.auth.sessions.sign_in(CODE, email, PASSPHRASE)
    moving_clock.forward(LOOKED_FOR + 1)
    service.auth.passwords.sweep(clock.now(), 1000)
    assert costs() == {"scrypt": 1024 * 8, "pbkdf2-sha256": 1000}
    service.auth.accounts.delete(CODE, "d@example.com")
    service.auth.register_user(EMAIL, PASSPHRASE * 4)
    service.auth.accounts.add_without_password(CODE, "e@example.com")
    assert service.auth.passwords.sweep(clock.now(), 1000) == 0
    assert costs() == {"scrypt": 1024 * 8, "pbkdf2-sha256": 1000}
    moving_clock.forward(LOOKED_FOR + 1)
    assert service.auth.passwords.sweep(clock.now(), 1000) == 2
    assert costs() == {}
    assert service.auth.passwords.sweep(clock.now(), 1000) == 0


# --- lines that are wrong -----------------------------------------------------------------------


NO_TIME = "created_at is not a time, as 2026-01-31T12:00:00Z"
NO_TEXT = "password_text is none of typed, nfc, nfkc, nfkd, flask_security"
NO_FIELD = "shoe_size is no field; --rename shoe_size=FIELD or --ignore shoe_size"
TOO_LONG = "disabled_reason has more than 512 characters"
NOT_THEN = "created_at is not a time between 1970 and now"


@pytest.mark.table(shown=5)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({}, "email is missing"),
        ({"email": "bob"}, "email is not an email, as name@example.org"),
        ({"email": 7}, "email is not a text"),
        ({"email": "bob\0@example.com"}, "email holds a character that is none, or is not UTF-8"),
        ({"email": f"{'x' * 65}@example.com"}, "email is not an email, as name@example.org"),
        ({"email": "b\u00f6b@example.com"}, "email is not an email, as name@example.org"),
        ({"email": EMAIL, "uid": "7"}, "uid is not a UUID"),
        ({"email": EMAIL, "created_at": "yesterday"}, NO_TIME),
        ({"email": EMAIL, "created_at": [1]}, NO_TIME),
        ({"email": EMAIL, "created_at": True}, NO_TIME),
        ({"email": EMAIL, "created_at": -1}, NOT_THEN),
        ({"email": EMAIL, "created_at": "nan"}, NOT_THEN),
        ({"email": EMAIL, "created_at": 1_740_000_000_000}, NOT_THEN),
        ({"email": EMAIL, "active": "perhaps"}, "active is neither yes nor no"),
        ({"email": EMAIL, "disabled": "perhaps"}, NO_TIME.replace("created_at", "disabled")),
        ({"email": EMAIL, "disabled_reason": "x" * 513}, TOO_LONG),
        ({"email": EMAIL, "password_hash": "$2b$12$short"}, "password_hash is of no known form"),
        ({"email": EMAIL, "password_text": "rot13"}, NO_TEXT),
        ({"email": EMAIL, "shoe_size": "43"}, NO_FIELD),
    ],
)  # fmt: skip
def test_a_line_that_is_wrong_says_why_and_the_others_are_taken(
    service: Service, line: dict[str, Any], words: str
) -> None:
    """Nothing of it is kept."""
    refused, taken = bring(service, line, {"email": "amy@example.com"})
    assert (refused.place, refused.outcome, refused.words) == ("line 1", "refused", words)
    assert taken.outcome == "created"
    assert [user.email for user in service.auth.accounts.list()] == ["amy@example.com"]


def test_an_unreadable_hash_can_be_left_out(service: Service) -> None:
    """The person comes without a password then; a dry run says the same and makes nobody."""
    line = {"email": EMAIL, "password_hash": "$2b$31$" + "." * 53}
    words = "password_hash costs too much to be compared with"
    for dry_run in (True, False):
        (heard,) = bring(service, line, dry_run=dry_run)
        assert (heard.outcome, heard.words) == ("refused", words)
    for dry_run in (True, False):
        (heard,) = bring(service, line, dry_run=dry_run, without_unreadable=True)
        left = f"{words}: left out, opens by resetting it"
        assert (heard.outcome, heard.words) == ("created", left)
    assert service.auth.accounts.find(EMAIL).hashed_password == "!"


def test_two_people_cannot_share_an_email_or_a_uid(service: Service) -> None:
    """The second line says which the first was, whatever else is in it, however it is spelt."""
    uid = "961fc585-c633-4427-b88c-bec19cb8d22d"
    first = {"email": EMAIL, "uid": uid}
    heard = bring(
        service,
        first,
        first,
        {"email": "BOB@EXAMPLE.COM", "password_hash": HASH},
        {"email": "amy@example.com", "uid": uid},
    )
    assert outcomes(heard) == ["created", "refused", "refused", "refused"]
    assert [each.words for each in heard[1:]] == [
        "the email is that of line 1",
        "the email is that of line 1",
        "the uid is that of line 1",
    ]


def test_an_account_that_is_there_is_never_changed(service: Service) -> None:
    """Whether somebody registered it here, or another line made it."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    uid = service.auth.accounts.find(EMAIL).uid
    bring(service, {"email": "amy@example.com", "password_hash": HASH})
    heard = bring(
        service,
        {"email": EMAIL, "password_hash": HASH},
        {"email": "eve@example.com", "uid": uid},
        {"email": "amy@example.com", "password_hash": HASH, "active": "no"},
    )
    assert [each.words for each in heard] == [
        "there is an account of this email already; nothing of it was changed",
        "another account has this uid",
        "its account was made of another line; nothing of it was changed",
    ]
    assert set(outcomes(heard)) == {"refused"}
    assert service.auth.accounts.find("amy@example.com").disabled_at is None


def test_an_email_that_is_kept_for_somebody_is_not_given_away(service: Service) -> None:
    """Whose email was changed can take it back by the letter's link."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.email_change.set(CODE, EMAIL, "amy@example.com")
    (heard,) = bring(service, {"email": EMAIL})
    assert heard.words == "this email is kept for an account that was changed from it"


# --- whole or not at all ------------------------------------------------------------------------


def test_the_same_lines_again_change_nothing(service: Service) -> None:
    """Even after people signed in, chose another password or changed their email's spelling."""
    lines = [{"email": f"p{n}@example.com", "password_hash": HASH} for n in range(5)]
    assert outcomes(bring(service, *lines)) == ["created"] * 5
    service.auth.sessions.sign_in(CODE, "p1@example.com", PASSPHRASE)
    before = [vars(user) for user in service.auth.accounts.list()]
    rows = audits.names(service.auth)
    assert outcomes(bring(service, *lines)) == ["unchanged"] * 5
    assert audits.names(service.auth) == rows
    after = [vars(user) for user in service.auth.accounts.list()]
    for one, other in zip(before, after, strict=True):
        del one["_sa_instance_state"], other["_sa_instance_state"]
    assert before == after


def test_a_batch_that_fails_leaves_nothing_and_the_next_run_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of the second batch: the first is whole, the second is not there."""
    monkeypatch.setattr(import_operations, "BATCH", 3)
    lines = [{"email": f"p{n}@example.com", "email_verified": True} for n in range(8)]
    real, times = service.auth.registry.publish, []

    def dies(event: Event) -> None:
        times.append(event)
        if len(times) == 2:
            raise KeyboardInterrupt
        real(event)

    with monkeypatch.context() as patch:
        patch.setattr(service.auth.registry, "publish", dies)
        with pytest.raises(KeyboardInterrupt):
            bring(service, *lines)
    there = {user.email: user.id for user in service.auth.accounts.list()}
    assert list(there) == [f"p{n}@example.com" for n in range(3)]
    with service.auth._db.reading() as tx:
        assert set(tx.scalars(select(ImportedUser.user_id))) == set(there.values())
    assert outcomes(bring(service, *lines)) == ["unchanged"] * 3 + ["created"] * 5
    for user in service.auth.accounts.list():
        assert service.auth.registration.verified_at(user.id) is not None


@pytest.mark.parametrize("how", ["registered", "kept"])
def test_somebody_who_registers_in_that_moment_keeps_the_account(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The batch is looked at again; the other lines of it are taken."""
    real = service.auth.accounts.import_all
    if how == "kept":
        service.auth.register_user("was@example.com", PASSPHRASE)

    def late(users: Any) -> Any:
        monkeypatch.setattr(service.auth.accounts, "import_all", real)
        if how == "kept":
            raise EmailTaken("amy@example.com")
        # Another connection commits it between the look and the write.
        monkeypatch.setattr(service.auth.accounts, "taken", lambda _emails, _uids: {})
        return real(users)

    lines = [{"email": EMAIL}, {"email": "amy@example.com"}]
    if how == "registered":
        service.auth.register_user(EMAIL, PASSPHRASE)
        first = service.auth.accounts.taken
        looks: list[int] = []

        def taken(emails: Any, uids: Any) -> dict[str, int | None]:
            looks.append(1)
            return {} if len(looks) == 1 else first(emails, uids)

        monkeypatch.setattr(service.auth.accounts, "taken", taken)
        assert outcomes(bring(service, *lines)) == ["refused", "created"]
    else:
        monkeypatch.setattr(service.auth.accounts, "import_all", late)
        assert outcomes(bring(service, *lines)) == ["created", "created"]
    assert service.auth.accounts.find("amy@example.com")


def test_what_crosses_again_and_again_is_no_silence(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three looks it is an error, and nothing was made."""

    def never(_: object) -> None:
        raise EmailTaken(EMAIL)

    monkeypatch.setattr(service.auth.accounts, "import_all", never)
    with pytest.raises(EmailTaken):
        bring(service, {"email": EMAIL})
    assert list(service.auth.accounts.list()) == []


def test_an_email_kept_meanwhile_stops_the_batch(service: Service) -> None:
    """What is asked after the rows are written sees who gave an email up in this moment."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.email_change.set(CODE, EMAIL, "amy@example.com")
    with pytest.raises(EmailTaken), service.auth._db.transaction():
        service.auth.accounts.import_all([("!", {"email": EMAIL})])
    assert [user.email for user in service.auth.accounts.list()] == ["amy@example.com"]


def test_a_dry_run_says_all_and_writes_nothing(service: Service) -> None:
    """Not even into the record."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    rows = audits.names(service.auth)
    heard = bring(
        service, {"email": EMAIL}, {"email": "amy@example.com"}, {"email": "x"}, dry_run=True
    )
    assert outcomes(heard) == ["refused", "created", "refused"]
    assert [user.email for user in service.auth.accounts.list()] == [EMAIL]
    assert (audits.names(service.auth), service.auth.passwords.dearest()) == (rows, {})


def test_a_report_counts() -> None:
    """Lines by what became of them, hashes by what they are."""
    report = Report()
    for outcome, words in (("created", "a"), ("unchanged", "a"), ("refused", "b")):
        report.add(LineResult("line", None, outcome, words))
    assert (report.lines, report.created, report.unchanged, report.refused) == (3, 1, 1, 1)
    assert dict(report.hashes) == {"a": 2}


# --- CSV ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_of_every_spreadsheet_is_read(mark: str, end: str) -> None:
    """With a mark of its encoding at the front, quotes, and lines of nothing."""
    text = end.join(["\ufeffemail,active", 'bob@example.com,"1"', "", "amy@example.com,0", ""])
    lines = lines_of(text.replace(",", mark))
    assert [(line.place, line.values) for line in lines] == [
        ("line 2", {"email": "bob@example.com", "active": "1"}),
        ("line 4", {"email": "amy@example.com", "active": "0"}),
    ]


def test_columns_are_renamed_ignored_and_filled() -> None:
    """What a line says itself comes before what is said of all."""
    lines = lines_of(
        "Mail,shoe,active\nbob@example.com,43,\namy@example.com,39,no\n",
        renamed={"Mail": "email"},
        ignored=frozenset({"shoe"}),
        default={"active": "yes"},
    )
    assert [line.values for line in lines] == [
        {"email": "bob@example.com", "active": "yes"},
        {"email": "amy@example.com", "active": "no"},
    ]


@pytest.mark.parametrize(
    ("text", "given", "why"),
    [
        ("", {}, "no column is email"),
        ("active\n", {}, "no column is email"),
        ("email,shoe\n", {}, "shoe is no field"),
        ("email,\u00e9\n", {}, r"\\xe9 is no field"),
        ("email,mail\n", {"renamed": {"mail": "email"}}, "two columns are email"),
        ("email\n", {"default": {"shoe": "43"}}, "shoe is no field"),
        ("email,email\n", {}, "two columns are email"),
    ],
)
def test_columns_that_make_no_sense_are_refused_before_any_line(
    text: str, given: dict[str, Any], why: str
) -> None:
    """Nothing a file holds is dropped without a word."""
    with pytest.raises(UnreadableSource, match=why):
        lines_of(text, **given)


def test_lines_that_are_no_csv_say_so_by_their_number() -> None:
    """And those around them are read."""
    text = f'{HEAD}a@example.com,1,2\nb@example.com,"x"y\nc@example.com\nd@example.com,\n'
    assert [(line.place, line.problem) for line in lines_of(text)] == [
        ("line 2", "has 3 values for 2 columns"),
        ("line 3", "is not CSV: ',' expected after '\"'"),
        ("line 4", "has 1 values for 2 columns"),
        ("line 5", None),
    ]


@pytest.mark.parametrize("cut", ["b@example.co", "b@example.com,$2b$04$abc", 'b@example.com,"$2b'])
def test_a_csv_that_ends_in_the_middle_of_a_line_loses_that_line_only(cut: str) -> None:
    """Half an email is an email too, so a line without an end is not believed."""
    read = lines_of(f"{HEAD}a@example.com,\n{cut}")
    assert [(line.place, line.problem) for line in read] == [
        ("line 2", None),
        ("line 3", "the file ends in the middle of this line"),
    ]


def test_a_line_without_an_end_to_it_is_passed_over() -> None:
    """However long it is, no more than a part of it is held."""
    long = "x" * (3 * LONGEST_LINE)
    csv_lines = lines_of(f"{HEAD}{long}\na@example.com,\n{long}")
    said = [(line.place, line.problem) for line in csv_lines]
    problem = f"has more than {LONGEST_LINE:,} characters"
    assert set(said) == {("line 2", problem), ("line 3", None), ("line 4", problem)}
    text = f'{{"email": "{long}"}}\n{{"email": "a@example.com"}}\n{long}'
    json_lines = list(from_json_lines(io.StringIO(text), all_columns()))
    said = [(line.place, line.problem) for line in json_lines]
    assert said == [("line 1", problem), ("line 2", None), ("line 3", problem)]


# --- JSON lines ---------------------------------------------------------------------------------


def test_json_lines_are_read() -> None:
    """One object a line, with values of their types; a last one need not end."""
    text = '\ufeff{"email": "bob@example.com", "active": true}\n\n{"email": "amy@example.com"}'
    read = list(from_json_lines(io.StringIO(text), all_columns()))
    assert [(line.place, line.values) for line in read] == [
        ("line 1", {"email": "bob@example.com", "active": True}),
        ("line 3", {"email": "amy@example.com"}),
    ]


@pytest.mark.parametrize(
    "line",
    ["[]", "7", "{", '{"email": "a", "email": "b"}', '{"active": NaN}', "[" * 50_000, "\udcff"],
)
def test_a_line_that_is_no_object_says_so(line: str) -> None:
    """Whatever it is; a name twice could be read in two ways."""
    (read,) = from_json_lines(io.StringIO(f"{line}\n"), all_columns())
    assert read.problem == "is not one JSON object"


def test_json_that_ends_in_the_middle_says_so() -> None:
    """Of the last line alone."""
    (read,) = from_json_lines(io.StringIO('{"email": "bob@exam'), all_columns())
    assert read.problem == "the file ends in the middle of this line"


# --- a database ---------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def old_system(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """The URL of another system's database, with two people."""
    url = databases.fresh(request.param, migrated=False)
    octets, uuid = {"sqlite": ("BLOB", "TEXT"), "postgresql": ("BYTEA", "UUID")}[request.param]
    made = (
        f"CREATE TABLE people (mail TEXT, pw {octets}, since TIMESTAMP, seen NUMERIC, id {uuid})",
        (
            "INSERT INTO people VALUES (:mail, :pw, '2024-05-01 12:00:00', 1740000000,"
            " '961fc585-c633-4427-b88c-bec19cb8d22d')"
        ),
        "INSERT INTO people (mail) VALUES ('amy@example.com')",
    )
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in made:
            values = {"mail": EMAIL, "pw": HASH.encode()} if ":pw" in statement else {}
            connection.execute(text(statement), values)
    engine.dispose()
    yield url.replace("+psycopg", "")
    databases.drop(url)


QUERY = (
    "SELECT mail AS email, pw AS password_hash, since AS created_at, seen AS last_sign_in_at,"
    " id AS uid FROM people ORDER BY mail"
)


def test_people_come_from_a_query(service: Service, old_system: str) -> None:
    """Whatever types the database gives: bytes, times, numbers, UUIDs."""
    heard: list[LineResult] = []
    feature = service.auth.import_export
    feature.import_lines(AMY, from_database(old_system, QUERY, feature.columns()), heard.append)
    assert [(each.place, each.outcome) for each in heard] == [
        ("row 1", "created"),
        ("row 2", "created"),
    ]
    bob = service.auth.accounts.find("961fc585-c633-4427-b88c-bec19cb8d22d")
    assert clock.written(bob.created_at) == "2024-05-01T12:00:00Z"
    assert service.auth.valid_login(EMAIL, PASSPHRASE)
    exported = service.auth.export(bob.id)["imported"]["last_sign_in_at"]
    assert exported == clock.written(1_740_000_000)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT nothing FROM people", "nothing"),
        ("SELECT mail FROM people", "mail is no field"),
        ("SAVEPOINT here", "the query gives no rows|syntax error"),
        ("SELECT :nothing AS email", "StatementError"),
        ("DELETE FROM people", "read"),
        ("CREATE TABLE mine (id INTEGER)", "read"),
    ],
)
def test_a_query_that_cannot_be_read_or_writes_is_refused(
    service: Service, old_system: str, query: str, why: str
) -> None:
    """In a sentence; the other system is never written to."""
    with pytest.raises(UnreadableSource, match=why):
        list(from_database(old_system, query, service.auth.import_export.columns()))
    rows = list(from_database(old_system, QUERY, service.auth.import_export.columns()))
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("url", "query", "why"),
    [
        ("sqlite:////nowhere/at/all.db", QUERY, "unable to open"),
        ("oracle://host/name", QUERY, "no driver is here"),
        ("nonsense://host/name", QUERY, "no driver is here"),
        ("postgresql://nobody@127.0.0.1:9/name", QUERY, "127.0.0.1"),
    ],
)
def test_a_database_that_is_not_there_is_refused(url: str, query: str, why: str) -> None:
    """With what the driver says of it."""
    with pytest.raises(UnreadableSource, match=why):
        list(from_database(url, query, all_columns()))


# --- out ----------------------------------------------------------------------------------------


def test_everybody_goes_out_and_comes_in_elsewhere_as_they_were(
    service: Service, make_service: MakeService, databases: Databases, moving_clock: Clock
) -> None:
    """With hashes, marks, times and reasons: the same file is written there again."""
    moving_clock.forward(0)
    lines: list[dict[str, Any]] = [
        {"email": "a@example.com", "password_hash": HASH, "email_verified": "2024-01-01"},
        {"email": "b@example.com", "disabled": "2024-02-02", "disabled_reason": 'never, "paid"'},
        {"email": "c@example.com", "notification_email": "c@home.example", "last_sign_in_at": 9},
    ]
    bring(service, *lines)
    long = "neuf grenouilles sous la pluie; " * 3
    service.auth.register_user("d@example.com", long)
    service.auth.sessions.sign_in(CODE, "d@example.com", long)
    people = list(service.auth.import_export.export_all(AMY, hashes=True))
    assert [person["email"] for person in people] == [f"{x}@example.com" for x in "abcd"]
    assert (people[0]["password_hash"], people[0]["password_text"]) == (HASH, "typed")
    assert people[3]["password_text"] == "nfc"
    assert people[3]["last_sign_in_at"] == clock.written(clock.now())
    assert people[1]["disabled_reason"] == 'never, "paid"'
    assert people[2]["last_sign_in_at"] == clock.written(9)
    url = databases.fresh("sqlite")
    other = make_service(database_url=url)
    assert set(outcomes(bring(other, *people))) == {"created"}
    assert list(other.auth.import_export.export_all(AMY, hashes=True)) == people
    assert other.auth.valid_login("a@example.com", PASSPHRASE)
    assert other.auth.valid_login("d@example.com", long)
    assert not other.auth.valid_login("d@example.com", long[:72])
    facts = audits.only(service.auth, "users.exported").facts
    assert facts == {"hashes": True} | BY_AMY


def test_hashes_are_written_out_on_purpose_only(service: Service) -> None:
    """Who takes them stands in the record before the first account is given."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    people = service.auth.import_export.export_all(AMY, hashes=False)
    assert audits.only(service.auth, "users.exported").facts == {"hashes": False} | BY_AMY
    (person,) = people
    assert [name for name in person if "password" in name] == []
    assert "$2b$" not in json.dumps(person)


def test_an_account_deleted_meanwhile_is_left_out(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list and the look at its fields."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    monkeypatch.setattr(service.auth.accounts, "export_users", lambda _: {})
    assert list(service.auth.import_export.export_all(AMY, hashes=True)) == []


def test_what_goes_out_opens_in_another_system(service: Service) -> None:
    """Both of our forms, by libpass, which knows nothing of us."""
    from passlib.context import CryptContext  # noqa: PLC0415 (another system)

    long = "neuf grenouilles sous la pluie; " * 3
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.register_user("amy@example.com", long)
    theirs = CryptContext(schemes=["bcrypt", "bcrypt_sha256"])
    out = list(service.auth.import_export.export_all(AMY, hashes=True))
    for person, password in zip(out, (PASSPHRASE, long), strict=True):
        assert theirs.verify(password, person["password_hash"])
        assert not theirs.verify(password + "!", person["password_hash"])


# --- a feature's part ---------------------------------------------------------------------------


class Shoes(Feature[Section]):
    """A feature of a stranger: what size of shoes a person wears."""

    name = "shoes"
    user_fields: ClassVar[Sequence[UserField]] = (
        UserField("shoe_size", "the size of their shoes", read_text),
    )

    def __init__(self, *given: Any) -> None:
        """Begin with nobody's."""
        super().__init__(*given)
        self.sizes: dict[int, str] = {}

    def import_users(self, users: Any) -> None:
        """Keep sizes."""
        self.sizes |= {n: values["shoe_size"] for n, values in users if "shoe_size" in values}

    def export_users(self, user_ids: Any) -> dict[int, dict[str, Any]]:
        """Give them."""
        return {n: {"shoe_size": self.sizes[n]} for n in user_ids if n in self.sizes}


def test_a_feature_brings_its_own_fields_in_and_out(service: Service) -> None:
    """By naming them: nothing else knows of it."""
    shoes = Shoes(service.auth.registry, service.auth._db, Section())
    service.auth.registry.add(shoes)
    bring(service, {"email": EMAIL, "shoe_size": "43"}, {"email": "amy@example.com"})
    out = list(service.auth.import_export.export_all(AMY, hashes=False))
    assert [(p["email"], p["shoe_size"]) for p in out] == [
        (EMAIL, "43"),
        ("amy@example.com", None),
    ]


# --- nothing is said of a secret ----------------------------------------------------------------


def test_no_hash_and_no_salt_reaches_a_log(
    make_service: MakeService, caplog: pytest.LogCaptureFixture, old_system: str
) -> None:
    """At DEBUG, with the statements of both databases, when all goes well and when it does not."""
    salt = "146585145368132386173505678016728509634"
    ours = Hasher(4).hash(PASSPHRASE).decode()
    with caplog.at_level("DEBUG"), caplog.at_level("DEBUG", "sqlalchemy"):
        service = make_service(flask_security_password_salt=salt)
        heard = bring(
            service,
            {"email": EMAIL, "password_hash": HASH},
            {"email": "a@example.com", "password_hash": ours, "password_text": "flask_security"},
            {"email": "b@example.com", "password_hash": f"{HASH}00"},
            {"email": "c@example.com", "uid": HASH},
        )
        service.auth.valid_login(EMAIL, "another")
        service.auth.valid_login(EMAIL, PASSPHRASE)
        service.auth.valid_login("a@example.com", "another")
        list(from_database(old_system, QUERY, service.auth.import_export.columns()))
        list(service.auth.import_export.export_all(AMY, hashes=True))
        with pytest.raises(UnreadableSource, match="syntax error"):
            list(from_database(old_system, "SELECT pw FRM people", all_columns()))
    assert outcomes(heard) == ["created", "created", "refused", "refused"]
    said = caplog.text + repr(heard) + repr(service.auth.settings.core)
    assert len(caplog.records) > 5
    for secret in (HASH[24:60], ours[10:40], salt):
        assert secret not in said


def test_the_parts_of_a_line_are_not_shown() -> None:
    """By what Python shows of a value."""
    field: Any = import_operations.__dict__["_Person"]
    shown = repr(field("line 1", {"email": EMAIL, "x": HASH}, HASH, None, "words", b"print"))
    assert HASH not in shown
