"""E and B: verifying an email, invitations, and what emails tell or give to whom."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import time

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply
from tests.attacks.e_reset import ask, messages, spend, token_of
from tests.attacks.target import PASSPHRASE, Person, Target, TargetFails

#: A mail server that is not there: emails wait in the outbox, and registering proves the email.
MAIL = {
    "smtp_host": "127.0.0.1",
    "smtp_port": "9",
    "smtp_security": "none",
    "mail_from": "no-reply@example.org",
}
DAY = 86400
NEW = "treize hiboux sur la branche"
_TOKEN = re.compile(r"token=([A-Za-z0-9_-]{43})\b")


def register(target: Target, email: str, password: str = PASSPHRASE, **more: str) -> Reply:
    """Register from an ip that no one came from yet."""
    return target.stranger().post("/users", email=email, password=password, **more)


def where_emails_are_sent(target: Target) -> Target:
    """Give the service with a mail server; the course has none."""
    return target if target.is_course else target.node(**MAIL)


def told(target: Target, email: str, kind: str) -> list[str]:
    """Give the texts of the emails of a kind to an address, the newest first."""
    said = target.cli("outbox", "list", "--limit", "1000").text.splitlines()
    found = [line.split()[0] for line in said if email in line and f" {kind} " in line]
    return [target.cli("outbox", "show", name).text for name in found]


def token_in(texts: list[str]) -> str:
    """Give the token of the newest email. Raises TargetFails."""
    found = _TOKEN.search(texts[0]) if texts else None
    if found is None:
        raise TargetFails(f"no letter with a link came: {texts}")
    return found[1]


def prove(target: Target, token: str, password: str = PASSPHRASE, **more: str) -> Reply:
    """Verify an email by a token."""
    return target.stranger().post(
        "/email/verification", verification_token=token, password=password, **more
    )


def users(target: Target) -> set[str]:
    """Give the emails of all accounts."""
    return {str(row["email"]) for row in target.execute("SELECT email FROM users")}


def _alike(replies: list[tuple[Reply, str]]) -> bool:
    """Tell whether answers are the same but for the email that was sent, and random tokens."""
    kept = [
        (
            reply.status,
            reply.rounds,
            reply.text.replace(email, ""),
            tuple(
                (name, re.sub(r"=[A-Za-z0-9_-]{43};|Expires=[^;]*", "=…;", value))
                for name, value in reply.headers
                if name.lower() not in {"date", "x-request-id"}
            ),
        )
        for reply, email in replies
    ]
    return all(one == kept[0] for one in kept)


@attack("B02", "An account without a password answers faster.", wins="broken:B02_no_hash_for_none")
def an_account_without_a_password(target: Target) -> Outcome:
    """Sign in to one that an operator made without a password, and as no one."""
    without, nobody = target.newcomer(), target.newcomer()
    if target.cli("users", "add", without.email, "--no-password").code:
        raise TargetFails("no account was made")
    heard = [(who.try_password(NEW), who.email) for who in (without, nobody)]
    if not _alike(heard):
        return Won(f"{heard[0][0].rounds} rounds for it, {heard[1][0].rounds} for nobody")
    return Refused(f"{heard[0][0].status} and {heard[0][0].rounds} rounds for both")


@attack("B06", "Registering says who has an account.", wins="course")
def registering_for_somebody(target: Target) -> Outcome:
    """Register with a taken email and with a free one, and compare every byte and every hash."""
    taken, free = target.person(), target.newcomer()
    service = where_emails_are_sent(target)
    heard = [(register(service, who.email, NEW), who.email) for who in (taken, free)]
    if not _alike(heard):
        return Won(f"{heard[0][0].status} for a taken email, {heard[1][0].status} for a free one")
    if not told(target, taken.email, "already_registered"):
        return Won("nobody told the owner")
    return Refused(f"{heard[0][0].status} for both, and the owner is told")


@attack("B13", "A repeated email tells who registered.", wins="broken:B13_says_nobody_waits")
def asking_for_the_letter_again(target: Target) -> Outcome:
    """Ask once more for someone with an account, for someone expected, and for no one."""
    person, expected, nobody = target.person(), target.newcomer(), target.newcomer()
    service = where_emails_are_sent(target)
    register(service, expected.email)
    target.execute("DELETE FROM email_requests")
    heard = [
        (service.stranger().post("/email/verification/resend", email=who.email), who.email)
        for who in (person, expected, nobody)
    ]
    if not _alike(heard):
        return Won(f"{[reply.status for reply, _ in heard]}: no one is waiting under the last one")
    target.cli("invite", nobody.email)
    mine = token_in(told(target, nobody.email, "invitation"))
    invited = target.node(registration="invited")
    sent = [(who, token) for who in (person, expected) for token in (mine, "x" * 43)]
    answers = [(register(invited, who.email, invitation=token), who.email) for who, token in sent]
    if not _alike(answers):
        return Won(f"{[reply.status for reply, _ in answers]} with an invitation of another email")
    return Refused(f"{heard[0][0].status} for all three, {answers[0][0].status} for all invited")


@attack(
    "B15",
    "An unregistered address receives an email all the same.",
    wins="broken:B15_writes_to_nobody",
)
def a_letter_to_a_third_party(target: Target) -> Outcome:
    """Ask for a reset of an email without an account: someone may own that mailbox."""
    nobody = target.newcomer()
    reply = ask(nobody)
    if messages(nobody):
        return Won("a stranger's mailbox got a letter about an account it never had")
    return Refused(f"{reply.status}, and no letter")


@attack(
    "C14",
    "A new email forgets the wrong passwords.",
    wins="broken:C14_new_letter_new_tries",
    settings={"rate_limit_account": "5"},
)
def new_letters_bring_new_tries(target: Target) -> Outcome:
    """Guess the password of a registration whose link was stolen, with new emails in between."""
    person = target.newcomer()
    service = where_emails_are_sent(target)
    register(service, person.email)
    tried = 0
    for number in range(12):
        if number % 4 == 0:
            target.execute("DELETE FROM email_requests")
            service.stranger().post("/email/verification/resend", email=person.email)
            token = token_in(told(target, person.email, "registration"))
        tried += prove(service, token, f"{NEW} {number}").status == 403
    if tried > 6:
        return Won(f"{tried} guesses were compared")
    return Refused(f"{tried} guesses were compared, whatever letters were sent between them")


@attack(
    "E01",
    "A forged Host is where the link in the email leads.",
    wins="broken:E01_links_to_the_host",
)
def a_forged_host(target: Target) -> Outcome:
    """Ask for the victim's email under other names, in every header that could say one."""
    person = target.person()
    port = target.port
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"localhost:{port}", "X-Forwarded-Host": "evil.example"},
        {"Host": f"localhost:{port}", "Forwarded": "host=evil.example"},
        {"Host": f"localhost:{port}@evil.example"},
        {"Host": "evil.example", "X-Forwarded-Proto": "https"},
    ):
        target.execute("DELETE FROM email_requests")
        form = {"email": person.email}
        target.stranger().request("POST", "/reset_password", form=form, headers=headers)
    texts = [target.cli("outbox", "show", name).text for name in messages(person)]
    if any("evil.example" in text for text in texts):
        return Won("the letter leads the victim to evil.example, which reads the token")
    return Refused(f"{len(texts)} letters, all with links to the configured base URL")


@attack("E03", "A look-alike address gets the email.", wins="broken:E03_writes_as_typed")
def a_look_alike(target: Target) -> Outcome:
    """Ask for the victim's email with an email that folds into one of theirs."""
    person = target.person()
    for message, other in (("s", "\u017f"), ("k", "\u212a"), ("i", "\u0131"), ("o", "\uff4f")):
        typed = person.email.replace(message, other)
        target.execute("DELETE FROM email_requests")
        target.stranger().post("/reset_password", email=typed)
    sent = {str(row["email"]) for row in target.execute("SELECT email FROM messages")}
    strange = {email for email in sent if not email.isascii()}
    if strange:
        return Won(f"the letter went to {strange.pop()!a}, which is another mailbox")
    return Refused("letters go to the email that is stored, and look-alikes are no emails here")


@attack("E15", "Someone says that their email is verified.", wins="broken:E15_believes_the_form")
def proven_by_saying_so(target: Target) -> Outcome:
    """Register with a victim's email, and claim in every way that it is verified."""
    service = where_emails_are_sent(target)
    victim = target.newcomer()
    for name in ("email_verified_at", "email_verified", "proven", "verified", "state"):
        register(service, victim.email, **{name: "true"})
    me = target.person().sign_in()
    for method, path in (("PATCH", "/profile"), ("PUT", "/profile"), ("POST", "/profile")):
        me.request(method, path, json={"email": victim.email, "email_verified_at": True})
    if victim.email in users(target):
        return Won(f"an account of {victim.email} was made, and they never heard of it")
    return Refused("no field makes an account or a proof")


@attack(
    "E15",
    "A user of an application who claims the email of an account is signed in to that account.",
    wins="broken:E15_links_by_email",
    how="library",
)
def joined_by_saying_so(target: Target) -> Outcome:
    """Register with an application that moved from Flask-Login, as the victim's email."""
    victim, thief = target.person(), target.visitor()
    if not target.visitor().post("/join", email=target.newcomer().email).ok:
        raise TargetFails("the application takes no new user")
    for spelled in (victim.email, victim.email.upper()):
        reply = thief.post("/join", email=spelled)
        if thief.get("/profile").ok:
            return Won(f"a new user is signed in as {victim.email}: {reply.status}")
    return Refused("an account is linked to whom it was imported for, and to no one else")


@attack(
    "E16", "The verification of my email proves yours.", wins="broken:E16_proves_what_it_is_told"
)
def my_proof_your_email(target: Target) -> Outcome:
    """Register with their own email, and send the victim's beside the token."""
    service = where_emails_are_sent(target)
    me, victim = target.newcomer(), target.newcomer()
    register(service, me.email)
    token = token_in(told(target, me.email, "registration"))
    prove(service, token, email=victim.email)
    if victim.email in users(target):
        return Won(f"my link made an account of {victim.email}")
    return Refused("a token proves the email it was sent to")


@attack("E18", "The page of the reset tells where it came from.", wins="broken:E18_tells_referrers")
def a_referrer(target: Target) -> Outcome:
    """Open the link as a browser does, and look at what other sites would learn from the page."""
    person = target.person()
    token = token_of(person)
    browser = target.visitor(Accept="text/html")
    opened = browser.get(f"/reset_password?token={token}")
    page = browser.get(opened.header("Location") or "")
    policies = {opened.header("Referrer-Policy"), page.header("Referrer-Policy")}
    if token in page.text or token in (opened.header("Location") or ""):
        return Won("the token stands on the page or in its path")
    if policies != {"no-referrer"}:
        return Won(f"the referrer policy is {policies}")
    return Refused("the token is in a cookie, and the page tells nobody where it came from")


@attack("E19", "An invitation works again.", wins="broken:E19_works_for_ever", alone=True)
def an_invitation_again(target: Target) -> Outcome:
    """Use one for another email, after its time, and after the account it made was deleted."""
    person, other, late = target.newcomer(), target.newcomer(), target.newcomer()
    for who in (person, late):
        target.cli("invite", who.email)
    closed = target.node(registration="invited")
    token = token_in(told(target, person.email, "invitation"))
    old = token_in(told(target, late.email, "invitation"))
    register(closed, other.email, invitation=token)
    if not register(closed, person.email, invitation=token).ok:
        raise TargetFails("the invitation did not work once")
    target.cli("users", "delete", person.email, "--yes")
    register(closed, person.email, invitation=token)
    for node in (target, closed):
        node.clock_forward(7 * DAY + 1)
    register(closed, late.email, invitation=old)
    wrong = users(target) & {person.email, other.email, late.email}
    if wrong:
        return Won(f"it made an account of {wrong.pop()}")
    return Refused("once, for its email, in its time")


@attack("E20", "Registration is closed but for one door.", wins="broken:E20_proving_is_open")
def the_door_that_was_left_open(target: Target) -> Outcome:
    """Register at a closed service in every way, and with a link from before it was closed."""
    before = where_emails_are_sent(target)
    early, late = target.newcomer(), target.newcomer()
    register(before, early.email)
    token = token_in(told(target, early.email, "registration"))
    closed = target.node(registration="closed", **MAIL)
    register(closed, late.email)
    register(closed, late.email, invitation=token)
    closed.stranger().request("POST", "/users", json={"email": late.email, "password": PASSPHRASE})
    prove(closed, token)
    made = users(target) & {early.email, late.email}
    if made:
        return Won(f"{made.pop()} has an account at a closed service")
    return Refused("four doors, all closed")


@attack("E23", "A new account inherits from a deleted one.", wins="broken:E23_deleted_comes_back")
def an_heir(target: Target) -> Outcome:
    """Keep everything of an account that is deleted, and wait until its email registers again."""
    person = target.person()
    thief = person.sign_in()
    token = token_of(person)
    target.cli("users", "delete", person.email, "--yes")
    heir = Person(target, person.email, NEW).register()
    if thief.get("/profile").ok:
        return Won("the session of the old account is signed in to the new one")
    if spend(heir, token, PASSPHRASE).ok or not heir.try_password(NEW).ok:
        return Won("the old account's link set the new one's password")
    return Refused("neither the session nor the link knows the new account")


@attack("E25", "Markup in an email address rewrites the message.", wins="broken:E25_rendered_twice")
def an_email_with_markup(target: Target) -> Outcome:
    """Register as a template, which an email may be, and sign in by a browser that is a link."""
    service = where_emails_are_sent(target)
    before, _, domain = target.newcomer().email.partition("@")
    victim = f"{before}.{{{{7*7}}}}@{domain}"
    register(service, victim)
    person = target.person()
    for number in range(2):
        link = f'{{{{7*7}}}}<a href="//evil.example">{number}'
        person.try_password(person.password, target.visitor(User_Agent=link))
    texts = [*told(target, victim, "registration"), *told(target, person.email, "new_device")]
    if len(texts) != 2:
        raise TargetFails(f"{len(texts)} letters came")
    if any(word in text for text in texts for word in (".49@", "49<a", "evil.example")):
        return Won("the letter says what was computed, or leads where a stranger likes")
    return Refused("what strangers type stands in letters as they typed it, or not at all")


@attack(
    "E25",
    "The email about a new device says what a stranger wrote into the browser's name.",
    wins=("broken:E25_repeats_the_browser", "broken:E25_repeats_robots"),
)
def an_email_in_their_words(target: Target) -> Outcome:
    """Sign in by browsers no rule knows, and by robots, whose names the rules take as they are."""
    for words in ("Call +1 555 0100, evil.example", "Call 1 555 0100 or visit evil com bot/1"):
        person = target.person()
        person.sign_in()
        person.try_password(person.password, target.visitor(User_Agent=words))
        texts = told(target, person.email, "new_device")
        if not texts:
            raise TargetFails("no email came")
        if any("555 0100" in text for text in texts):
            return Won(f"an email of the service says {words!r}")
    return Refused("it says that the device is unknown")


@attack("E24", "The token can be computed.", wins="broken:E24_made_of_the_time")
def a_token_that_is_computed(target: Target) -> Outcome:
    """Try what can be made of the email and of the seconds around the request."""
    person = target.person()
    begun = int(time.time()) - 2
    token = token_of(person)
    ended = int(time.time()) + 2
    seconds = [str(second) for second in range(begun, ended + 1)]
    words = [*seconds, person.email, *(person.email + second for second in seconds)]
    kinds = (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.sha512)
    for word, kind in itertools.product(words, kinds):
        made = kind(word.encode()).digest()
        for text in (made.hex(), base64.urlsafe_b64encode(made).decode()):
            if text[:43] == token:
                return Won(f"it is the {kind.__name__} of {word!r}")
    return Refused(f"none of {len(words) * len(kinds)} digests of what is known")


@attack(
    "E26",
    "A stranger's requests keep an email from registering.",
    wins="broken:E26_one_request_alone",
)
def a_registration_in_the_way(target: Target) -> Outcome:
    """Register the victim's email first, so that the one email that is sent is for the stranger."""
    service = where_emails_are_sent(target)
    victim = target.newcomer()
    register(service, victim.email, NEW)
    if register(service, victim.email).status != 202:
        raise TargetFails("registering was refused")
    prove(service, token_in(told(target, victim.email, "registration")))
    if victim.email not in users(target):
        return Won("the victim registered, got a link, and has no account")
    return Refused("the link completes whichever registration the mailbox's owner made")
