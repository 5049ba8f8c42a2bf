"""C: guessing passwords, in a row, at once, by the day, from behind other names.

A guess was compared when it was answered as a wrong password is; one that is put off is answered
429 and costs nothing. The clock stands while guesses are counted, for every wait that runs out
lets one more through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.b_enumeration import WRONG, told_apart
from tests.attacks.client import Reply, Visitor
from tests.attacks.target import PASSPHRASE, Person, Target
from tests.races import race
from tests.thorough import often

#: As the service comes, while most attacks push them out of reach.
ACCOUNT, NETWORK = 10, often(30, 100)
DEFAULTS = {"rate_limit_account": str(ACCOUNT), "rate_limit_network": str(NETWORK)}
LOCKED = 100
#: How many guesses a repaired exercise may compare: it says nowhere after how many it stops.
ENOUGH = 20
HOUR = 3600.0

#: Headers by which one proxy or another says for whom it asks.
FORWARDED = (
    "X-Forwarded-For",
    "X_Forwarded_For",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-Forwarded-For",
    "CF-Connecting-IP",
    "True-Client-IP",
    "Client-IP",
)


def compared(replies: Iterable[Reply]) -> int:
    """Count the guesses that were taken; of an account there is or not, they answer the same."""
    return sum(reply.status != 429 for reply in replies)


def heard(replies: Iterable[Reply]) -> Mapping[int, int]:
    """Count the answers by their status."""
    return dict(sorted(Counter(reply.status for reply in replies).items()))


def known_device(person: Person) -> Visitor:
    """Give a browser from which this person signed in, and out again."""
    browser = person.sign_in()
    browser.delete("/sessions")
    return browser


@attack("C01", "One password after another is compared.", wins="course", settings=DEFAULTS)
def guessing_in_a_row(target: Target) -> Outcome:
    """Try thirty wrong passwords at one account, as fast as they are answered."""
    person, stranger = target.person(), target.stranger()
    with target.clock_stopped():
        replies = [person.try_password(f"{WRONG} {n}", stranger) for n in range(30)]
    if target.is_course and 0 < sum(reply.rounds > 0 for reply in replies) <= ENOUGH:
        return Refused(f"{sum(reply.rounds > 0 for reply in replies)} guesses of 30 were compared")
    if compared(replies) != ACCOUNT:
        return Won(f"{compared(replies)} guesses of 30 were compared")
    last = replies[-1]
    if last.rounds or not str(last.header("Retry-After")).isdigit():
        return Won(f"a refused guess cost {last.rounds} rounds, or says nothing of when to return")
    return Refused(f"{ACCOUNT} guesses were compared and the others put off")


@attack("C01", "One guess an hour is never noticed.", wins="course", settings=DEFAULTS)
def guessing_by_the_hour(target: Target) -> Outcome:
    """Wait until every wait is over; then ask whether the account is lost to its owner."""
    person, stranger = target.person(), target.stranger()
    laptop = known_device(person)
    replies = []
    for number in range(LOCKED + 1):
        target.clock_forward(HOUR)
        replies.append(person.try_password(f"{WRONG} {number}", stranger))
    if compared(replies) > LOCKED:
        return Won(f"{compared(replies)} guesses were compared, one an hour, and no end of it")
    right = person.try_password(person.password, target.stranger())
    if right.ok:
        return Won("the password itself is still taken from a stranger")
    if not person.try_password(person.password, laptop).ok:
        return Won("the owner is locked out of the laptop, too")
    return Refused(f"{compared(replies)} guesses and then {right.json['code']}, but on the laptop")


@attack("C02", "Guesses sent at once slip under the count.", wins="course", settings=DEFAULTS)
def guessing_all_at_once(target: Target) -> Outcome:
    """Send two hundred guesses in one moment."""
    person, stranger = target.person(), target.stranger()
    guess = {"email": person.email}
    before = len(target.hash_costs())
    with target.clock_stopped():
        replies = race(
            lambda n: stranger.request(
                "POST", "/sessions", form=guess | {"password": f"{WRONG}{n}"}
            ),
            200,
        )
    hashed = len(target.hash_costs()) - before
    if hashed != ACCOUNT and not (target.is_course and hashed <= ENOUGH):
        return Won(f"{hashed} of 200 were compared: {heard(replies)}")
    return Refused(f"of 200 at once {hashed} were compared: {heard(replies)}")


@attack(
    "C03",
    "A header makes every guess come from somewhere else.",
    wins="broken:C03_believes_the_header",
    settings=DEFAULTS,
)
def guessing_behind_headers(target: Target) -> Outcome:
    """Say another ip in every header there is for it, with each of a hundred and ten guesses."""
    stranger = target.stranger()
    replies = []
    with target.clock_stopped():
        for number in range(NETWORK + 10):
            ip = f"198.51.100.{number}"
            stranger.headers = dict.fromkeys(FORWARDED, ip) | {"Forwarded": f"for={ip};proto=http"}
            replies.append(target.newcomer().try_password(WRONG, stranger))
    if compared(replies) != NETWORK:
        return Won(f"{compared(replies)} guesses were taken from one network that said it was many")
    return Refused(f"all counted for the one who sent them: {heard(replies)}")


@attack(
    "C10",
    "An attacker's wrong passwords keep the owner out.",
    wins="broken:C10_one_count_for_all",
    settings=DEFAULTS,
)
def the_owner_is_kept_out(target: Target) -> Outcome:
    """Guess until no one else may, and see whether the owner still comes in at home."""
    person, stranger = target.person(), target.stranger()
    laptop = known_device(person)
    with target.clock_stopped():
        replies = [person.try_password(WRONG, stranger) for _ in range(ACCOUNT + 2)]
        owner = person.try_password(person.password, laptop)
    if not owner.ok:
        return Won(f"after {len(replies)} guesses of a stranger the owner hears {owner.status}")
    return Refused(f"the stranger hears {replies[-1].status}, the owner {owner.status}")


@attack(
    "C15",
    "Where a password is asked for once more, no lock holds.",
    wins=("broken:C15_change_knows_no_lock", "broken:C15_confirming_unlocks"),
)
def another_way_in(target: Target) -> Outcome:
    """Lock the password by a copied session's browser, then give the right one at every page."""
    person = target.person()
    thief, away = person.sign_in(), person.sign_in()

    def sign_in(password: str) -> Reply:
        sent = {"email": person.email, "password": password}
        return away.request("POST", "/sessions", json=sent)

    replies = [sign_in(WRONG) for _ in range(LOCKED + 1)]
    if replies[-1].status != 429:
        return Won(f"{heard(replies)}: no lock closed")
    changed = {"old_password": person.password, "new_password": "a passphrase of the thief"}
    tried = {
        "signing in": sign_in(person.password),
        "changing it": thief.request("PUT", "/password", json=changed),
        "confirming it": thief.request(
            "POST", "/reauthentication", json={"password": person.password}
        ),
        "signing in after that": sign_in(person.password),
    }
    taken = [way for way, reply in tried.items() if reply.status != 429]
    if taken:
        return Won(f"the password is locked, and was compared by {', '.join(taken)}")
    return Refused(f"{LOCKED} guesses locked it for every way: {heard(tried.values())}")


@attack("C11", "One password is tried at everybody's account.", wins="course", settings=DEFAULTS)
def spraying_one_password(target: Target) -> Outcome:
    """Try one password at a hundred and twenty emails; the last their owner has chosen it."""
    careless, stranger = target.person(PASSPHRASE), target.stranger()
    with target.clock_stopped():
        people = [*(target.newcomer() for _ in range(119)), careless]
        replies = [person.try_password(PASSPHRASE, stranger) for person in people]
        if replies[-1].ok:
            return Won(f"{compared(replies)} accounts were tried, and the last one opened")
        if compared(replies) != NETWORK:
            return Won(f"{compared(replies)} accounts were tried from one ip")
        careless.try_password(PASSPHRASE, target.stranger())
    if not careless.sign_in().get("/profile").ok:
        return Won("and the owner is kept out for it")
    return Refused(f"it was stopped at {compared(replies)}: {heard(replies)}")


@attack(
    "B11",
    "Only an account that exists is ever closed to guessing.",
    wins="broken:B11_counts_accounts_only",
    settings=DEFAULTS,
)
def the_limit_tells(target: Target) -> Outcome:
    """Guess at an account and at none until someone is told to wait."""
    known, unknown = target.person(), target.newcomer()
    with target.clock_stopped():
        for number in range(1, ACCOUNT + 4):
            guesses = (who.try_password(WRONG, target.stranger()) for who in (known, unknown))
            if evidence := told_apart(*guesses):
                return Won(f"at guess {number}: {evidence}")
            target.clock_forward(2.0 if number > ACCOUNT else 0.0)
    return Refused(f"{number} guesses at both, and both are told the same")


@attack(
    "C19",
    "Another process knows of no guess.",
    wins="broken:C19_keys_of_a_process",
    settings=DEFAULTS,
)
def the_count_is_forgotten(target: Target) -> Outcome:
    """Guess as often as one may, then at another process, and after the first began again."""
    person, stranger = target.person(), target.stranger()
    with target.clock_stopped():
        for _ in range(ACCOUNT):
            person.try_password(WRONG, stranger)
        node = target.node(service_name="Another")
        sent = {"email": person.email, "password": WRONG}
        if compared([node.stranger().request("POST", "/sessions", form=sent)]):
            return Won("a second process counts from nothing")
        target.stop()
        target.start()
        if compared([person.try_password(WRONG, stranger)]):
            return Won("the service began anew, and so did the count")
    return Refused("neither another process nor another start takes one guess more")
