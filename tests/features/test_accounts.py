"""accounts: registering, disabling, enabling, deleting, finding and exporting."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import NoResultFound

from bienvenue import i18n, normalize
from bienvenue.authentication import CODE
from bienvenue.features.accounts import AccountDisabled, EmailTaken, NoSuchUser
from bienvenue.features.passwords import PasswordTooShort
from bienvenue.normalize import MalformedEmail, MalformedText, PrivateEmail
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing, rows, users
from tests.races import race
from tests.web.browser import Browser

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
LONG_DOMAIN = ".".join(["d" * 60] * 4)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("bob@example.com", "bob@example.com"),
        ("BOB@Example.COM", "bob@example.com"),
        ("  bob@example.com\t", "bob@example.com"),
        ("bob+tag@example.com", "bob+tag@example.com"),
        ("bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("bob@BÜCHER.example", "bob@xn--bcher-kva.example"),
        ("bob@xn--bcher-kva.example", "bob@xn--bcher-kva.example"),
        # A domain has one ASCII form, no matter who looks it up; what is stored is that form.
        ("bob@\u212aelvin.example", "bob@kelvin.example"),
        ("bob@\uff45xample.com", "bob@example.com"),
    ],
)
def test_an_email_has_one_spelling(typed: str, stored: str) -> None:
    """Upper case, spaces around and international domains become ASCII in lower case."""
    assert normalize.email(typed) == stored
    assert normalize.email(stored) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "bob",
        "bob@",
        "@example.com",
        "bob@example",
        "bob@localhost",
        "bob@[127.0.0.1]",
        "bob@exam ple.com",
        "b ob@example.com",
        "bob@example.com.",
        "b..b@example.com",
        "bob@@example.com",
        "bob@example.com, eve@example.com",
        "Bob <bob@example.com>",
        '"bob bobson"@example.com',
        "\u212aob@example.com",
        "\uff42ob@example.com",
        "bób@example.com",
        "bob\u202e@example.com",
        "bob\x07@example.com",
        "bob@example.com\r\nBcc: eve@example.com",
        "b" * 65 + "@example.com",
        f"bob@{LONG_DOMAIN}.example.com",
        "b" * 10_000,
    ],
)
def test_what_is_no_email_is_refused(typed: str) -> None:
    """Nothing is guessed at: what cannot get an email as it is written is malformed."""
    with pytest.raises(MalformedEmail) as refusal:
        normalize.email(typed)
    assert refusal.value.field == "email"
    assert typed.strip() == "" or typed not in str(refusal.value)


def test_an_email_that_grows_over_the_limit_in_ascii_is_refused() -> None:
    """An international domain is longer in ASCII than as typed; the stored form counts."""
    typed = "b" * 60 + "@" + ".".join(["ü" * 40] * 4) + ".example"
    assert len(typed) <= normalize.LONGEST_EMAIL
    with pytest.raises(MalformedEmail):
        normalize.email(typed)


@pytest.mark.parametrize("typed", ["bob\0@example.com", "bob\ud800@example.com"])
def test_text_no_keyboard_makes_is_refused_as_such(typed: str) -> None:
    """NUL and half surrogates are not a matter of emails."""
    with pytest.raises(MalformedText):
        normalize.email(typed)


def test_registering_stores_the_account_and_says_so(service: Service) -> None:
    """The row is there, the event names the user, and nothing secret is in it."""
    hearing = Hearing(service.auth)
    user = service.auth.registration.create(CODE, " BOB@example.com", PASSPHRASE)
    stored = service.auth._db.find_user_by(email=EMAIL)
    assert (stored.id, stored.uid) == (user.id, str(uuid.UUID(user.uid)))
    assert stored.disabled_at is None
    event = hearing.only("account.registered")
    assert (event.user_id, dict(event.facts)) == (user.id, {})


def test_a_taken_email_is_refused_and_changes_nothing(service: Service) -> None:
    """The refusal is the exercise's ValueError for code, and without the email for HTTP."""
    hearing = Hearing(service.auth)
    first = service.auth.registration.create(CODE, EMAIL, PASSPHRASE)
    with pytest.raises(EmailTaken) as refusal:
        service.auth.registration.create(CODE, EMAIL.upper(), PASSPHRASE + " encore")
    assert str(refusal.value) == f"User {EMAIL} already exists"
    assert (refusal.value.field, EMAIL in refusal.value.message) == ("email", False)
    assert service.auth._db.find_user_by(email=EMAIL).hashed_password == first.hashed_password
    assert hearing.names == ["account.registered"]


def test_a_taken_email_costs_the_same_hash(service: Service, hash_costs: list[int]) -> None:
    """Anyone who counts the time learns nothing from it."""
    service.auth.registration.create(CODE, EMAIL, PASSPHRASE)
    with pytest.raises(EmailTaken):
        service.auth.registration.create(CODE, EMAIL, PASSPHRASE)
    assert hash_costs == [4, 4]


def test_a_refused_password_makes_no_account(service: Service) -> None:
    """The policy is asked before anything is stored or hashed."""
    hearing = Hearing(service.auth)
    with pytest.raises(PasswordTooShort):
        service.auth.registration.create(CODE, EMAIL, "short")
    assert (users(service.auth), hearing.heard) == (0, [])


def test_an_account_without_a_password_opens_to_none(
    service: Service, hash_costs: list[int]
) -> None:
    """What stands in place of the hash matches nothing, at the cost of a comparison."""
    user = service.auth.accounts.add_without_password(CODE, EMAIL)
    assert user.hashed_password == "!"
    for password in ("!", "", PASSPHRASE):
        assert not service.auth.valid_login(EMAIL, password)
    assert hash_costs == [4, 4, 4]


def test_fifty_registrations_at_once_make_one_account(service: Service) -> None:
    """One hears 201, all others 409, and there is one row."""
    statuses = race(lambda _: service.client().post("/users", json=CREDENTIALS).status_code)
    assert sorted(statuses) == [201] + [409] * 49
    assert users(service.auth) == 1


def test_find_takes_an_email_or_a_uid(service: Service) -> None:
    """In any case of letters; the number of the row is no name."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    for name in (EMAIL, EMAIL.upper(), user.uid, user.uid.upper()):
        assert service.auth.accounts.find(name).id == user.id
    for name in (
        "eve@example.com",
        "no email@",
        str(uuid.uuid4()),
        str(user.id),
        "",
        "\0",
        "a\0@b",
    ):
        with pytest.raises(NoSuchUser):
            service.auth.accounts.find(name)


@pytest.mark.slow
def test_list_goes_through_all_in_the_order_they_came(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one batch: the second begins where the first ended."""
    monkeypatch.setattr("bienvenue.clock.now", lambda: 1.0)
    emails = [f"user{number}@example.com" for number in range(1003)]
    with service.auth._db.transaction():
        for email in reversed(emails):
            service.auth._db.add_user(email, "!")
    assert [user.email for user in service.auth.accounts.list()] == emails[::-1]


def test_disabling_ends_the_sessions_and_closes_the_dispatcher(service: Service) -> None:
    """All at once; and only someone who knows the password learns that the account is disabled."""
    client = service.signed_in()
    hearing = Hearing(service.auth)
    user = service.auth.accounts.disable(CODE, EMAIL)
    assert client.get("/profile").status_code == 401
    assert (rows(service.auth), service.auth.create_session(EMAIL)) == (0, None)
    assert hearing.names == ["sessions.ended", "account.disabled"]
    assert hearing.only("sessions.ended").facts == {"reason": "account disabled"}
    right = service.client().post("/sessions", json=CREDENTIALS)
    assert (right.status_code, right.get_json()["code"]) == (403, "account_disabled")
    wrong = service.client().post("/sessions", json=CREDENTIALS | {"password": "wrong"})
    assert (wrong.status_code, wrong.get_json()["code"]) == (401, "wrong_credentials")
    assert hearing.names[2:] == ["password.refused", "password.refused"]
    with pytest.raises(AccountDisabled):
        service.auth.passwords.verify(CODE, EMAIL, PASSPHRASE)
    assert service.auth._db.find_user_by(id=user.id).disabled_at is not None


def test_disabling_twice_is_as_once(service: Service, moving_clock: Clock) -> None:
    """The first moment stays and the second says nothing."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    hearing = Hearing(service.auth)
    service.auth.accounts.disable(CODE, user.uid)
    first = moving_clock.time
    moving_clock.forward(60)
    service.auth.accounts.disable(CODE, user.uid)
    assert hearing.names.count("account.disabled") == 1
    assert service.auth._db.find_user_by(id=user.id).disabled_at == first


def test_enabling_lets_in_again_without_the_old_sessions(service: Service) -> None:
    """Twice is as once; an account that was never disabled is left alone."""
    client = service.signed_in()
    hearing = Hearing(service.auth)
    service.auth.accounts.enable(CODE, EMAIL)
    assert client.get("/profile").status_code == 200
    service.auth.accounts.disable(CODE, EMAIL)
    service.auth.accounts.enable(CODE, EMAIL)
    service.auth.accounts.enable(CODE, EMAIL)
    assert hearing.names.count("account.enabled") == 1
    assert client.get("/profile").status_code == 401
    assert service.client().post("/sessions", json=CREDENTIALS).status_code == 200


def test_deleting_takes_everything_and_the_id_is_never_given_again(service: Service) -> None:
    """The email is free again, for another account with another id."""
    client = service.signed_in()
    service.signed_in("amy@example.com")
    hearing = Hearing(service.auth)
    user = service.auth.accounts.delete(CODE, EMAIL)
    assert client.get("/profile").status_code == 401
    assert hearing.names == ["sessions.ended", "account.deleted"]
    assert hearing.only("account.deleted").user_id == user.id
    with pytest.raises(NoResultFound):
        service.auth._db.find_user_by(id=user.id)
    assert (users(service.auth), rows(service.auth)) == (1, 1)
    again = service.auth.register_user(EMAIL, PASSPHRASE)
    assert again.id > user.id
    assert again.uid != user.uid
    assert client.get("/profile").status_code == 401


@pytest.mark.parametrize("operation", ["disable", "enable", "delete", "find"])
def test_no_one_cannot_be_worked_on(service: Service, operation: str) -> None:
    """A name that no one has is refused, and nothing is announced."""
    hearing = Hearing(service.auth)
    who = [] if operation == "find" else [CODE]
    with pytest.raises(NoSuchUser) as refusal:
        getattr(service.auth.accounts, operation)(*who, "eve@example.com")
    assert (refusal.value.status, refusal.value.code) == (404, "no_such_user")
    assert hearing.heard == []


def test_export_gives_the_account_and_the_sessions_without_secrets(
    service: Service, moving_clock: Clock
) -> None:
    """Neither the hash nor any digest leaves; times are RFC 3339."""
    service.signed_in()
    user = service.auth.accounts.find(EMAIL)
    exported = service.auth.export(user.id)
    assert exported["email"] == EMAIL
    assert (exported["uid"], exported["created_at"]) == (user.uid, "2027-01-15T08:00:00Z")
    assert exported["disabled_at"] is None
    assert [session.keys() for session in exported["sessions"]] == [
        {
            "uid",
            "created_at",
            "last_seen_at",
            "expires_at",
            "authenticated_at",
            "amr",
            "ip",
            "agent",
            "remembered",
        }
    ]
    assert user.hashed_password not in str(exported)
    moving_clock.forward(60)
    service.auth.accounts.disable(CODE, EMAIL)
    after = service.auth.export(user.id)
    assert (after["disabled_at"], after["sessions"]) == ("2027-01-15T08:01:00Z", [])


def test_a_person_registers_in_a_browser(service: Service) -> None:
    """The page, its form, what is shown when it is refused, and what is shown when it is done."""
    browser = Browser(service)
    refused = browser.submit("/users/new", "/users", email=EMAIL, password="too short")
    assert refused.status_code == 422
    assert "at least 15 characters" in refused.text
    assert f'value="{EMAIL}"' in refused.text
    assert "too short" not in refused.text
    made = browser.submit("/users/new", "/users", email=EMAIL, password=PASSPHRASE)
    assert (made.status_code, made.mimetype) == (200, "text/html")
    assert EMAIL in made.text
    taken = browser.submit("/users/new", "/users", email=EMAIL, password=PASSPHRASE)
    assert taken.status_code == 409
    assert "There is already an account with this email." in taken.text


@pytest.mark.parametrize("medium", ["json", "data"])
def test_a_program_registers_by_json_or_form(service: Service, medium: str) -> None:
    """Both media are one operation, and answer with JSON."""
    answer = service.client().post("/users", **{medium: CREDENTIALS})
    assert (answer.status_code, answer.json) == (201, {"email": EMAIL, "message": "user created"})
    form = service.client().get("/users/new")
    assert form.json == {"email": "", "action": "POST /users"}


# --- emails of a private network, and international ones ----------------------------------------

PRIVATE = ["anna@firma.local", "anna@home.arpa", "anna@nas.home.arpa"]
ALLOWED = {"private_emails": "allowed"}


@pytest.mark.parametrize("email", PRIVATE)
def test_an_email_of_a_private_network_is_refused_with_the_reason(
    service: Service, email: str
) -> None:
    """It was called no email, which it is."""
    answer = service.client().post("/users", json={"email": email, "password": PASSPHRASE})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "private_email")
    assert answer.get_json()["field"] == "email"
    assert answer.get_json()["message"].startswith("Emails at .local and home.arpa can't be used")
    for adds in (
        lambda: service.auth.accounts.add_without_password(CODE, email),
        lambda: service.auth.register_user(email, PASSPHRASE),
        lambda: service.auth.invitations.invite(CODE, email),
    ):
        with pytest.raises(PrivateEmail):
            adds()
    client = service.signed_in()
    for path, name in (("/email", "new_email"), ("/notification_email", "notification_email")):
        refused = client.put(path, json={name: email})
        assert (refused.status_code, refused.get_json()["code"]) == (422, "private_email")
        assert refused.get_json()["field"] == name
    # Nothing tells whether there is an account.
    for path, sent in (("/sessions", {"password": PASSPHRASE}), ("/reset_password", {})):
        assert client.post(path, json={"email": email} | sent).status_code in {401, 202}


@pytest.mark.parametrize("email", PRIVATE)
def test_a_setting_allows_emails_of_a_private_network(
    make_service: MakeService, email: str
) -> None:
    """In one spelling, as any other."""
    service = make_service(**ALLOWED)
    typed = f" {email.upper()} "
    client = service.client()
    sent = {"email": typed, "password": PASSPHRASE}
    assert client.post("/users", json=sent).get_json() == {
        "email": email,
        "message": "user created",
    }
    assert client.post("/sessions", json=sent).status_code == 200
    assert client.put("/email", json={"new_email": f"b{email}"}).status_code == 202


@pytest.mark.parametrize(
    "typed",
    ["anna@local", "anna@.local", "anna@firma..local", "anna@arpa", "anna@1.in-addr.arpa", "local"],
)
def test_other_special_domains_are_malformed(typed: str) -> None:
    """No mail server anywhere has one of them."""
    with pytest.raises(MalformedEmail) as refusal:
        normalize.email(typed)
    assert not isinstance(refusal.value, PrivateEmail)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("bob@example.com", "bob@example.com"),
        ("bob@xn--mnchen-3ya.de", "bob@m\u00fcnchen.de"),
        ("bob@mail.xn--strae-oqa.example", "bob@mail.stra\u00dfe.example"),
        # Cyrillic letters that look like Latin ones, a dotless i, and a dot below.
        ("bob@xn--80ak6aa92e.com", "bob@xn--80ak6aa92e.com"),
        ("bob@xn--wkipedia-tkb.org", "bob@xn--wkipedia-tkb.org"),
        ("bob@xn--pypal-j11b.com", "bob@xn--pypal-j11b.com"),
        # No one registers these, and a decoder could stumble.
        ("bob@xn--a.com", "bob@xn--a.com"),
        ("bob@xn--example-.com", "bob@xn--example-.com"),
        ("bob@xn--99999999.com", "bob@xn--99999999.com"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("see https://xn--mnchen-3ya.de/@", "see https://xn--mnchen-3ya.de/@"),
    ],
)
def test_international_domains_are_shown_as_people_write_them(stored: str, shown: str) -> None:
    """Only with letters that no one takes for others."""
    assert i18n.readable(stored) == shown


@given(st.text(min_size=1, max_size=20))
def test_what_is_shown_is_the_same_domain(label: str) -> None:
    """Whatever is shown in Unicode is stored as it was."""
    try:
        stored = normalize.email(f"bob@{label}.example")
    except (MalformedEmail, MalformedText):
        return
    assert normalize.email(i18n.readable(stored)) == stored


def test_pages_and_emails_show_unicode_and_json_ascii(service: Service) -> None:
    """What a program compares is what is stored."""
    typed, stored = "bob@m\u00fcnchen.de", "bob@xn--mnchen-3ya.de"
    client = service.signed_in(typed)
    assert client.get("/profile").get_json()["email"] == stored
    for path in ("/profile", "/", "/email", "/email/verified"):
        page = client.get(path, headers={"Accept": "text/html"}).text
        assert typed in page, path
        assert stored not in page, path
    client.post("/reset_password", json={"email": typed})
    (message,) = [one for one in service.auth.mail.list() if one.kind == "password_reset"]
    assert message.email == stored
    read = service.auth.mail.read(message.uid)
    assert stored in str(read["To"])
    body = read.get_body(("plain",))
    assert body is not None
    assert typed in body.get_content()
    assert stored not in body.get_content()
