"""C: so much at once that the count, or everybody else, is lost under it."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.attacks.attack import BROKEN, Outcome, Refused, Won, attack
from tests.attacks.b_enumeration import WRONG
from tests.attacks.c_guessing import ACCOUNT, DEFAULTS, heard
from tests.attacks.client import Reply, Visitor
from tests.attacks.target import Target
from tests.journeys.raw import deaf
from tests.ports import held, wait_until
from tests.races import race
from tests.thorough import often

GUESSES = often(200, 1000)
FLOOD = 100
#: A hash of the flood costs some forty milliseconds: a hundred do not pass in a second.
SLOW = {"bcrypt_cost": "10", "hash_queue": "4"}
_TRIES = 30
MINUTES = 3
DEAF_FOR = 40.0
"""Seconds, four times the deadline: a machine may be busy."""


@attack(
    "C19",
    "Hundreds of guesses at once, through three processes, slip under the count.",
    wins=("broken:C19_keys_of_a_process", "broken:C19_condition_left_out"),
    settings=DEFAULTS,
    alone=True,
)
def a_thousand_at_once(target: Target) -> Outcome:
    """Send them all in one moment to three processes of one database."""
    person, stranger = target.person(), target.stranger()
    nodes = [target, target.node(service_name="Two"), target.node(service_name="Three")]
    before = [len(node.hash_costs()) for node in nodes]
    # A build that does not count shows it at the first hundred.
    guesses = 100 if target.name.startswith(BROKEN) else GUESSES

    def guess(number: int) -> Reply:
        visitor = Visitor(nodes[number % 3], ip=stranger.ip)
        return person.try_password(f"{WRONG}{number}", visitor)

    clocks = [node.clock_stopped() for node in nodes]
    with clocks[0], clocks[1], clocks[2]:
        replies = race(guess, guesses)
    hashed = sum(len(node.hash_costs()) for node in nodes) - sum(before)
    if hashed != ACCOUNT:
        return Won(f"{hashed} of {guesses} were compared: {heard(replies)}")
    return Refused(f"of {guesses} at once {hashed} were compared: {heard(replies)}")


@attack(
    "C18",
    "One user fills the audit log, and has all of it read again and again.",
    wins=("broken:C18_a_row_each_time", "broken:C18_exports_without_end"),
    alone=True,
)
def a_log_that_grows_and_is_read(target: Target) -> Outcome:
    """Sign out all other devices sixty times, and download everything until that is refused."""
    browser = target.person().sign_in()
    for _ in range(60):
        browser.delete("/sessions?which=others")
    first = browser.get("/export")
    ended = [row for row in first.json["activity"] if row["event"] == "sessions.ended"]
    # A minute may end meanwhile.
    if len(ended) > MINUTES:
        return Won(f"60 requests without a password wrote {len(ended)} rows")
    replies = [browser.get("/export") for _ in range(30)]
    given = sum(reply.ok for reply in replies)
    if given == len(replies):
        return Won(f"everything was read {given + 1} times")
    refused = replies[-1]
    if refused.status != 429 or not refused.header("Retry-After"):
        return Won(f"the last one heard {refused.status}")
    counted = sum(row["times"] for row in ended)
    return Refused(f"{len(ended)} rows count {counted} requests, and {given + 1} exports were made")


@attack(
    "C17",
    "A flood of sign-ins is all taken on, and nobody else comes in.",
    wins="course",
    settings=SLOW,
    alone=True,
)
def a_flood_of_sign_ins(target: Target) -> Outcome:
    """Sign in a hundred times at once from one place, while a neighbour signs in from another."""
    people = [target.person() for _ in range(5)]
    neighbour = target.person()
    stranger, home = target.stranger(), target.stranger()

    def sign_in(number: int) -> Reply:
        if number:
            person = people[number % len(people)]
            return person.try_password(person.password, Visitor(target, ip=stranger.ip))
        for tried in itertools.count(1):
            reply = neighbour.try_password(neighbour.password, Visitor(target, ip=home.ip))
            if reply.ok or tried == _TRIES:
                return reply
        raise AssertionError

    before = target.rounds()
    replies = race(sign_in, FLOOD + 1)
    taken = sum(reply.ok for reply in replies[1:])
    if not replies[0].ok:
        return Won("a neighbour does not come in any more")
    if taken == FLOOD:
        return Won(
            f"all {FLOOD} were hashed, {target.rounds() - before} rounds, and all others waited"
        )
    late = {reply.status for reply in replies if not reply.ok}
    if late != {503} or not all(reply.header("Retry-After") for reply in replies if not reply.ok):
        return Won(f"those who were not let in heard {late}")
    return Refused(f"{taken} of {FLOOD} were let in, the others heard 503, the neighbour came in")


@attack(
    "C21",
    "A client that asks and never reads keeps its connection for ever.",
    wins="broken:C21_waits_for_readers",
    how="shipped",
)
def a_client_that_never_reads(target: Target) -> Outcome:
    """Ask a thousand times on one connection for more than fits on the way, and wait."""
    with deaf(target.port):
        if not wait_until(lambda: held(target.port) == 0, DEAF_FOR):
            return Won(f"after {DEAF_FOR:.0f} s the connection is still held")
    return Refused("the connection was cut")


#: One hash at a time, far slower than anything else, and four threads for everything else.
CROWDED = {"bcrypt_cost": "12", "hash_threads": "1", "hash_queue": "1", "threads": "4"}
CLIENTS, LOOKS, MOST = 16, 2, 100
HIDDEN = "_method=DELETE"
SPELLINGS = (
    ("post", "/users", ""),
    ("POST", "//users", ""),
    ("POST", "/%75sers", ""),
    ("POST", "/users", HIDDEN),
)


@attack(
    "C07",
    "Requests that hash, spelt otherwise, wait where everybody's pages are made.",
    wins="broken:C07_a_list_of_strings",
    settings=CROWDED,
    how="shipped",
)
def waiting_where_pages_are_made(target: Target) -> Outcome:
    """Register a taken email from sixteen connections, four in each spelling, and look at a page.

    The flood is counted and no time is taken: where it holds up pages, each comes after about as
    much of it as there are connections, however fast the machine is.
    """
    taken, neighbour = target.person(), target.stranger(Accept="text/html")
    over, answered, last = threading.Event(), itertools.count(1), [0]

    def flood(number: int) -> None:
        method, path, hidden = SPELLINGS[number % len(SPELLINGS)]
        form = {"email": taken.email, "password": taken.password + hidden}
        for _ in range(MOST):
            if over.is_set():
                return
            target.request(method, path, json=form)
            last[0] = max(last[0], next(answered))

    passed = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(flood, number) for number in range(CLIENTS)]
        wait_until(lambda: last[0] >= CLIENTS)
        for _ in range(LOOKS):
            before = last[0]
            neighbour.get("/sessions/new")
            passed.append(last[0] - before)
        over.set()
    for client in clients:
        client.result()
    if min(passed) > CLIENTS / 2:
        return Won(f"while a page is made, {min(passed)} requests of the flood end")
    return Refused("a page is made while hardly any request of the flood ends")
