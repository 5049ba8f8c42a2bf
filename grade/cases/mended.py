"""What a repair of a chapter must hold beyond its attack, which cannot see it over HTTP."""

from __future__ import annotations

import base64
import codecs
import contextlib
import threading
from typing import TYPE_CHECKING
from unittest.mock import patch

import bcrypt
from sqlalchemy.exc import IntegrityError

from grade.case import case
from grade.cases.app import registered, view_of
from grade.cases.reset import BOB, EVE, NEW

if TYPE_CHECKING:
    from grade.half import Half

#: Seconds without a request that gets on, after which comparisons wait for each other no longer: a
#: lock lets one through at a time.
PATIENCE = 5.0


def spellings(secret: str) -> set[str]:
    """Give what one may make of a secret and back, without a key."""
    raw = secret.encode()
    made = {secret, secret[::-1], raw.hex(), codecs.encode(secret, "rot13")}
    made |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    return made | {one.rstrip("=") for one in made} | {secret.replace("-", "")}


@case(
    22,
    en="What is only spelt in another way can be spelt back. A digest cannot.",
    fr="Ce qui n'est qu'écrit autrement se réécrit à l'envers. Une empreinte, non.",
    who="mended",
)
def no_secret_stands_in_the_table(half: Half) -> None:
    """Neither a session's id nor a reset token can be read out of the table."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    for made in (auth.create_session(BOB), auth.get_reset_password_token(BOB)):
        for column, value in half.row(BOB).items():
            said = value.decode() if isinstance(value, bytes) else str(value)
            half.expect_that(said not in spellings(made), "no secret", said, f", and {column}")


@case(
    23,
    en="Only what keeps the rows can decide. Another process does not see a lock of yours.",
    fr="Seul ce qui garde les lignes peut décider. Un autre processus ne voit pas votre verrou.",
    who="mended",
)
def the_table_takes_no_second_row(half: Half) -> None:
    """The database itself refuses a second row of an email."""
    half.auth().register_user(BOB, half.good_password)
    half.log.call = "INSERT of a second row, as another process would"
    statement = "INSERT INTO users (email, hashed_password) VALUES (:email, :hashed)"
    with contextlib.suppress(IntegrityError):
        half.query(statement, {"email": BOB, "hashed": "another"})
        half.fail("IntegrityError", "the table has two rows of this email")


#: Guesses sent at once, and how many of them may be compared: the sheet names no number.
GUESSES, ENOUGH = 40, 20
#: Bytes of the stack of a thread that sends one.
STACK = 1 << 20


@case(
    31,
    en="All of them read the count before one of them has written it. Count first, then compare.",
    fr="Toutes lisent le compte avant qu'une seule l'ait écrit. Comptez d'abord, comparez ensuite.",
    who="mended",
)
def guesses_at_once_are_counted_first(half: Half) -> None:
    """Of many wrong passwords sent at once, no more are compared than of as many in a row.

    Each comparison waits until every request has reached one or was answered, so what is counted
    depends on no machine.
    """
    arrived, answered, moved = [0], [0], threading.Condition()
    waits = [True]

    def got_on(count: list[int]) -> int:
        count[0] += 1
        moved.notify_all()
        return arrived[0] + answered[0]

    def compare(*_: bytes) -> bool:
        with moved:
            here = got_on(arrived)
            while waits[0] and here < GUESSES:
                waits[0] &= moved.wait(PATIENCE)
                here = arrived[0] + answered[0]
        return False

    def guess(number: int) -> None:
        app.test_client().post("/sessions", data={"email": BOB, "password": f"wrong {number}"})
        with moved:
            got_on(answered)

    with patch.object(bcrypt, "checkpw", compare):
        client = registered(half)
        app = client.app
        guesses = [threading.Thread(target=guess, args=(n,), daemon=True) for n in range(GUESSES)]
        # Forty stacks of the usual size are a third of the memory that a task may have.
        usual = threading.stack_size(STACK)
        for one in guesses:
            one.start()
        threading.stack_size(usual)
        for one in guesses:
            one.join()
    view_of(half, client, "POST", "/sessions")
    half.log.call = f"POST /sessions with a wrong password, {GUESSES} at once"
    said = f"{arrived[0]} of {GUESSES} were compared"
    half.expect_that(0 < arrived[0] <= ENOUGH, f"at most {ENOUGH} are compared", said)


@case(
    33,
    en="app.py is one of the callers of update_password. The rule belongs where all of them pass.",
    fr="app.py n'est qu'un des appelants de update_password. La règle va là où tous passent.",
    who="mended",
)
def none_is_no_token_for_any_caller(half: Half) -> None:
    """update_password refuses None from every caller."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    auth.register_user(EVE, half.good_password)
    for token in (None, ""):
        with half.raises(ValueError):
            auth.update_password(token, NEW)
