"""C: ways round a limit: other spellings, waiting it out, size, and taking its table away."""

from __future__ import annotations

from typing import Any

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.b_enumeration import WRONG
from tests.attacks.c_guessing import ACCOUNT, DEFAULTS, NETWORK, compared, heard
from tests.attacks.target import Target
from tests.races import race

#: A proxy of ours stands where the attacks connect from, and says for whom it asks.
BEHIND_A_PROXY = DEFAULTS | {"trusted_proxies": "127.0.0.0/8"}

SPELLINGS = (
    "/sessions/",
    "//sessions",
    "/./sessions",
    "/x/../sessions",
    "/%73essions",
    "/Sessions",
    "/sessions;a=1",
    "/sessions?a=1",
    "/sessions%00",
    "/sessions%20",
    "/sessions#a",
)


@attack(
    "C05",
    "Every spelling of one IPv6 network is another network to the limit.",
    wins="broken:C05_counts_each_ip",
    settings=BEHIND_A_PROXY,
)
def one_network_spelt_many_ways(target: Target) -> Outcome:
    """Guess from ip after ip of one household, long and short, in capitals, with zone and port."""
    visitor = target.stranger()
    replies = []
    with target.clock_stopped():
        for number in range(NETWORK + 10):
            spelt = (
                f"2001:db8:0:7::{number:x}",
                f"2001:0DB8:0000:0007:0000:0000:0000:{number:04X}",
                f"2001:db8::7:0:0:0:{number:x}%eth0",
                f"[2001:db8:0:7::{number:x}]:4000",
            )[number % 4]
            visitor.headers = {"X-Forwarded-For": spelt}
            replies.append(target.newcomer().try_password(WRONG, visitor))
    if compared(replies) != NETWORK:
        return Won(f"{compared(replies)} guesses were taken from one network")
    return Refused(f"one network, however it was spelt: {heard(replies)}")


@attack("C07", "Another spelling of the path is not counted.", wins="course", settings=DEFAULTS)
def the_path_spelt_many_ways(target: Target) -> Outcome:
    """Guess until no one else may, then send the right password by every spelling of the path."""
    person, stranger = target.person(), target.stranger()
    form = {"email": person.email, "password": person.password}
    with target.clock_stopped():
        for number in range(ACCOUNT + 2):
            person.try_password(f"{WRONG} {number}", stranger)
        costs = len(target.hash_costs())
        for path in SPELLINGS:
            for method in ("POST", "post"):
                reply = stranger.request(method, path, form=form)
                if reply.cookie("session_id"):
                    return Won(f"{method} {path} signed in past the limit")
    if len(target.hash_costs()) != costs:
        return Won("a spelling of the path had a password compared")
    return Refused(f"{len(SPELLINGS)} spellings of the path, and none that is not counted")


@attack("C09", "A wait that is over never begins again.", wins="course", settings=DEFAULTS)
def waiting_it_out(target: Target) -> Outcome:
    """Wait as long as one is told, six times, and send twenty guesses at once each time."""
    person, stranger = target.person(), target.stranger()
    told = []
    with target.clock_stopped():
        for number in range(ACCOUNT):
            person.try_password(f"{WRONG} {number}", stranger)
    for _ in range(6):
        last = person.try_password(WRONG, stranger)
        if last.status != 429:
            # It may have been the one guess that the end of a wait allows.
            last = person.try_password(WRONG, stranger)
        told.append(int(last.header("Retry-After") or 0))
        target.clock_forward(told[-1] + 1)
        with target.clock_stopped():
            replies = race(lambda n: person.try_password(f"{WRONG} x{n}", stranger), 20)
        if compared(replies) > 1:
            return Won(f"{compared(replies)} guesses of 20 were compared after one wait")
    if told != sorted(told) or told[-1] < 16 * max(1, told[0]):
        return Won(f"the waits do not grow: {told}")
    return Refused(f"one guess a wait, and the waits grow: {told} s")


@attack("C18", "A password of megabytes is worked on.", wins="broken:C18_any_length")
def an_endless_password(target: Target) -> Outcome:
    """Sign in, register and change a password with two million characters, in form and JSON."""
    person = target.person()
    browser = person.sign_in()
    endless = "\u0065\u0301" * 1_000_000
    for method, path, values in (
        ("POST", "/sessions", {"email": person.email, "password": endless}),
        ("POST", "/users", {"email": "endless@example.org", "password": endless}),
        ("PUT", "/password", {"old_password": endless, "new_password": person.password}),
    ):
        for medium in ("form", "json"):
            sent: dict[str, Any] = {medium: values}
            reply = browser.request(method, path, **sent)
            if reply.rounds or reply.status != 413:
                return Won(f"{method} {path} answered {reply.status} after {reply.rounds} rounds")
    return Refused("refused as too large in form and JSON, and nothing was hashed")


@attack(
    "C18",
    "A User-Agent of kilobytes holds a processor for minutes.",
    wins="broken:C18_agents_as_sent",
)
def an_endless_browser(target: Target) -> Outcome:
    """Sign in from devices that no one saw before, each with a longer name than the last."""
    person = target.person()
    person.sign_in()
    efforts = []
    for size in (0, 500):
        agent = "Linux" * size + "CrKey" * size
        person.try_password(person.password, target.visitor(User_Agent=agent))
        efforts.append(target.effort())
    times = efforts[-1] / max(efforts[0], 0.001)
    if times > 8:
        return Won(f"5,000 bytes of User-Agent make a sign-in cost {times:.0f} times as much")
    return Refused("a sign-in costs the same, however much its browser says of itself")


@attack(
    "C18",
    "A password of combining marks holds the interpreter, and everybody waits.",
    wins="broken:C18_marks_without_end",
)
def an_endless_accent(target: Target) -> Outcome:
    """Register with four thousand marks on one letter, whose order Unicode makes quadratic work."""
    efforts = []
    plain, marks = "x" * 4000, ("\u0f73" * 4000, "x" + "\u0301\u0323" * 2000)
    # The first one loads what all others find loaded.
    for number, text in enumerate((plain, plain, *marks)):
        email = f"accent{number}@example.org"
        target.request("POST", "/users", json={"email": email, "password": text})
        efforts.append(target.effort())
    times = max(efforts[2:]) / max(efforts[1], 0.001)
    if times > 8:
        return Won(f"registering with 4,000 marks costs {times:.0f} times as much")
    return Refused("marks cost no more than letters")


@attack(
    "C18",
    "The document of the API is made anew for everyone who asks.",
    wins="broken:C18_document_made_anew",
    alone=True,
)
def an_endless_document(target: Target) -> Outcome:
    """Ask for it, once for the first time and then once more, beside another page."""
    efforts = []
    for path in ("/openapi.json", "/users/new", "/openapi.json", "/openapi.json"):
        target.request("GET", path)
        efforts.append(target.effort())
    cost = min(efforts[2:])
    if cost > efforts[0] / 3:
        return Won(f"it costs {cost * 1000:.0f} ms each time")
    return Refused("the second time it is there already")


@attack(
    "C20",
    "The counts are away, and so is the limit.",
    wins="broken:C20_open_when_it_fails",
    settings=DEFAULTS,
    alone=True,
    noisy=True,
)
def the_counts_are_away(target: Target) -> Outcome:
    """Take the table of the counts away and guess; the right password is among the guesses."""
    person, stranger = target.person(), target.stranger()
    target.execute("ALTER TABLE rate_limits RENAME TO rate_limits_away")
    costs = len(target.hash_costs())
    words = [*(f"{WRONG} {n}" for n in range(ACCOUNT + 5)), person.password]
    replies = [person.try_password(word, stranger) for word in words]
    hashed = len(target.hash_costs()) - costs
    target.execute("ALTER TABLE rate_limits_away RENAME TO rate_limits")
    if hashed or any(reply.status < 500 for reply in replies):
        return Won(f"{hashed} guesses were compared without a count: {heard(replies)}")
    if not person.try_password(person.password, target.stranger()).ok:
        return Won("the owner does not come in once the counts are back")
    return Refused(f"nothing was compared while the counts were away: {heard(replies)}")
