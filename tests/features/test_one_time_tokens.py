"""The contract of every emailed link, whatever it is for: one table, one test a rule.

What only one kind does, as asking for the right password beside the token, stands in its own file.
"""

from __future__ import annotations

import json
import logging

import pytest

from bienvenue import tokens
from bienvenue.authentication import CODE
from bienvenue.features.mail import MessageState
from bienvenue.settings import SettingsProblem
from tests.conftest import EMAIL, Clock, MakeService
from tests.features.hearing import Hearing
from tests.features.links import KINDS, Case, Kind
from tests.features.password_resets import dump, messages, text_of
from tests.features.registrations import newest
from tests.races import race
from tests.web.browser import Browser

pytestmark = pytest.mark.statements

each = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
of_an_account = pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if kind.of_account],
    ids=[kind.name for kind in KINDS if kind.of_account],
)


@pytest.mark.table
@each
def test_it_works_once(make_service: MakeService, kind: Kind) -> None:
    """Its page is there before; afterwards there is one refusal, and the email has no link left."""
    case = kind.sent(make_service)
    assert case.look(case.token).status_code == 200
    (message,) = messages(case.service, kind.email)
    assert message.encrypted_link is not None
    assert case.spend(case.token).status_code in {200, 201}
    assert case.code(case.spend(case.token)) == (403, kind.refused)
    assert case.code(case.look(case.token)) == (403, kind.refused)
    (message,) = messages(case.service, kind.email)
    assert (message.encrypted_link, message.state) == (None, MessageState.WITHDRAWN)
    assert "[link removed]" in text_of(case.service, message)


@pytest.mark.table
@each
def test_it_works_to_the_last_second(
    make_service: MakeService, moving_clock: Clock, kind: Kind
) -> None:
    """And not in the next one, swept or not."""
    case = kind.sent(make_service, session_fresh="30d", session_idle="90d", session_lifetime="90d")
    moving_clock.forward(kind.lifetime - 1)
    assert case.look(case.token).status_code == 200
    moving_clock.forward(1)
    assert case.code(case.look(case.token)) == (403, kind.refused)
    assert case.code(case.spend(case.token)) == (403, kind.refused)
    while case.service.auth.sweep(moving_clock.now()):
        pass
    assert case.code(case.spend(case.token)) == (403, kind.refused)
    assert tokens.digest(kind.purpose, case.token).hex() not in repr(dump(case.service))


@pytest.mark.table
@each
def test_how_long_is_a_setting(make_service: MakeService, moving_clock: Clock, kind: Kind) -> None:
    """With a longest time."""
    case = kind.sent(make_service, **{kind.setting: "1d"})
    moving_clock.forward(86400)
    # The session is over its time for what needs a fresh one, which opening a link does not.
    assert case.code(case.spend(case.token)) == (403, kind.refused)
    days = int(kind.longest.removesuffix("d"))
    with pytest.raises(SettingsProblem, match=kind.setting.upper()):
        make_service(**{kind.setting: f"{days * 86400 + 1}s"})


@pytest.mark.table
@each
def test_what_is_no_token_of_it_opens_nothing(make_service: MakeService, kind: Kind) -> None:
    """Malformed, unknown, the digest, one of a session or a device: nothing is changed by them."""
    case = kind.sent(make_service)
    digest = tokens.digest(kind.purpose, case.token)
    cookies = [case.client.get_cookie(name) for name in ("session_id", "device_id")]
    wrong: list[object] = [
        "x",
        "x" * 43,
        case.token[:-1],
        case.token + "x",
        case.token + "\n",
        case.token.swapcase(),
        digest.hex(),
        *[cookie.value for cookie in cookies if cookie is not None],
    ]
    before = dump(case.service)
    for token in wrong:
        # Without an invitation someone is refused who needs one, and told so.
        assert case.code(case.spend(token)) == (403, kind.refused), token
    missing = "wrong_invitation" if kind.name == "invitation" else "link_not_open"
    assert case.code(case.spend(None)) == (403, missing)
    assert case.spend("").status_code in {400, 403}
    assert case.spend(["x" * 43]).status_code == 400
    assert dump(case.service) == before
    assert case.spend(case.token).status_code in {200, 201}


@pytest.mark.table
@each
def test_looking_changes_nothing(make_service: MakeService, kind: Kind) -> None:
    """A scanner of mail that opens the link and its page, with GET and HEAD, spends nothing."""
    case = kind.sent(make_service)
    before = dump(case.service)
    for _ in range(2):
        followed = case.follow(case.token)
        assert (followed.status_code, followed.location) == (303, kind.page)
        assert case.token in followed.headers["Set-Cookie"]
        assert followed.headers["Referrer-Policy"] == "no-referrer"
        assert case.look(case.token).headers["Referrer-Policy"] == "no-referrer"
    assert case.follow("x" * 42).headers["Set-Cookie"].startswith(f"{kind.name}_token=;")
    assert dump(case.service) == before
    assert case.spend(case.token).status_code in {200, 201}


@pytest.mark.table
@each
def test_its_token_stands_nowhere(
    make_service: MakeService, caplog: pytest.LogCaptureFixture, kind: Kind
) -> None:
    """But sealed in its email: in no table, answer, event or log; the table has its digest."""
    caplog.set_level(logging.DEBUG)
    case = kind.sent(make_service)
    hearing = Hearing(case.service.auth)
    kept = repr(dump(case.service))
    assert tokens.digest(kind.purpose, case.token).hex() in kept
    answers = [case.look(case.token), case.spend(case.token), case.spend(case.token)]
    said = "".join(f"{answer.headers}{answer.text}" for answer in answers)
    audit = [repr(entry) for entry in case.service.auth.audit.list(None)]
    users = [user.id for user in case.service.auth.accounts.list()]
    exported = json.dumps([case.service.auth.export(user) for user in users])
    shown = f"{kept}{dump(case.service)}{said}{hearing.heard}{caplog.text}{audit}{exported}"
    assert case.token not in shown
    assert case.token.encode().hex() not in shown


@pytest.mark.table
@each
def test_twenty_at_once_and_one_works(make_service: MakeService, kind: Kind) -> None:
    """One conditional statement spends it; everybody else hears what comes too late."""
    case = kind.sent(make_service)
    secret = case.client.get_cookie("session_id")

    def spend(_: int) -> int:
        one = Case(kind, case.service, case.token, case.service.client())
        if secret is not None:
            one.client.set_cookie("session_id", secret.value)
        return one.spend(case.token).status_code

    heard = sorted(race(spend, 20))
    assert heard[0] in {200, 201}
    # A changed email ends the sessions of the others, whichever comes first.
    assert set(heard[1:]) <= {401, 403}


@pytest.mark.table
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.replaced], ids=lambda k: k.name)
def test_a_newer_one_ends_it(make_service: MakeService, moving_clock: Clock, kind: Kind) -> None:
    """The email before has no link left, and the newer link works."""
    case = kind.sent(make_service)
    moving_clock.forward(121)
    kind.send(case.service, case.client)
    newer = newest(case.service, kind.email)
    assert newer != case.token
    assert case.code(case.spend(case.token)) == (403, kind.refused)
    assert messages(case.service, kind.email)[0].encrypted_link is None
    assert case.spend(newer).status_code in {200, 201}


@pytest.mark.table
@pytest.mark.parametrize("happens", ["disable", "disable and enable", "delete"])
@of_an_account
def test_what_happens_to_the_account_ends_it(
    make_service: MakeService, kind: Kind, happens: str
) -> None:
    """An administrator who disables or deletes it, also when it is enabled again."""
    case = kind.sent(make_service)
    accounts = case.service.auth.accounts
    if happens == "delete":
        accounts.delete(CODE, EMAIL)
    else:
        accounts.disable(CODE, EMAIL)
    if happens == "disable and enable":
        accounts.enable(CODE, EMAIL)
        kind.sign_in(case.client)
    before = dump(case.service)
    refused = case.spend(case.token)
    if kind.signed_in and happens != "disable and enable":
        assert refused.status_code == 401
    else:
        assert case.code(refused) == (403, kind.refused)
    assert dump(case.service) == before


@pytest.mark.table
@each
def test_it_opens_no_other_door(make_service: MakeService, kind: Kind) -> None:
    """Sent as another kind's token, kept in its cookie, or as a session: nothing is changed."""
    case = kind.sent(make_service)
    before = dump(case.service)
    for other in KINDS:
        if other is not kind:
            theirs = Case(other, case.service, case.token, case.client)
            answers = [theirs.spend(case.token), theirs.look(case.token)]
            if kind.name == "reopening" and other.signed_in:
                assert [answer.status_code for answer in answers] == [401, 401]
            elif other.name == "invitation":
                # Where anyone may register, no invitation is needed to see the form.
                assert theirs.code(answers[0]) == (403, other.refused)
            elif (kind.name, other.name) == ("invitation", "verification"):
                assert [answer.status_code for answer in answers] == [403, 403]
            else:
                assert [theirs.code(answer) for answer in answers] == [(403, other.refused)] * 2
    stranger = case.service.client()
    stranger.set_cookie("session_id", case.token)
    assert stranger.get("/profile").status_code == 401
    assert not case.service.auth.known_devices.knows(EMAIL, case.token)
    assert dump(case.service) == before
    assert case.spend(case.token).status_code in {200, 201}


@pytest.mark.table
@each
def test_the_eleventh_minute_does_not_deny_the_link(
    make_service: MakeService, moving_clock: Clock, kind: Kind
) -> None:
    """The browser dropped its cookie and the link still works, so the page says to open it again.

    It was "This link was already used, was replaced or has expired".
    """
    case = kind.sent(make_service)
    browser = Browser(case.service)
    browser.client = case.client if kind.signed_in else browser.client
    browser.get(f"{kind.link}?token={case.token}")
    opened = browser.get(kind.page)
    assert opened.status_code == 200
    moving_clock.forward(601)
    kept = f"{kind.name}_token"
    browser.client.delete_cookie(kept)
    late = browser.get(kind.page)
    assert late.status_code == 403
    assert (
        "invitation email" if kind.name == "invitation" else "Open the link in the"
    ) in late.text
    assert "expired" not in late.text
    method, path, fields, _ = kind.spends
    refused = browser.client.open(path, method=method, json=fields)
    code = "wrong_invitation" if kind.name == "invitation" else "link_not_open"
    assert (refused.status_code, refused.get_json()["code"]) == (403, code)
    browser.get(f"{kind.link}?token={case.token}")
    assert browser.get(kind.page).status_code == 200
