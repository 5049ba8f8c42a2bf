"""auth.py and app.py: the steps of the reset token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grade.case import case
from grade.cases.app import registered
from grade.cases.auth import UNKNOWN, verifies

if TYPE_CHECKING:
    from grade.half import Half

BOB, EVE = "bob@example.com", "eve@example.com"
NEW = "dix grenouilles au soleil"
NOBODYS = "00000000-0000-4000-8000-000000000000"


@case(
    17,
    en="As with a session: a new UUID, saved as the user's reset_token, and returned.",
    fr="Comme pour une session : un nouvel UUID, enregistré comme reset_token, et retourné.",
)
def get_reset_password_token(half: Half) -> None:
    """Generate a token, keep it as the user's reset_token and return it; the next is another."""
    auth = half.auth()
    auth.register_user(EVE, half.good_password)
    auth.register_user(BOB, half.good_password)
    token = auth.get_reset_password_token(email=BOB)
    half.expect_a(token, str)
    half.expect_that(re.fullmatch(half.session_id, token), "a token", token)
    stored = half.row(BOB)["reset_token"]
    half.expect_stored(stored, token)
    half.expect(half.row(EVE)["reset_token"], None, ", and the reset_token of another user")
    half.expect_that(auth.get_reset_password_token(BOB) != token, "another token", "the same")


@case(
    17,
    en="When no user has this email, raise a ValueError.",
    fr="Si aucun utilisateur n'a cet email, levez une ValueError.",
)
def get_reset_password_token_of_an_unknown_email(half: Half) -> None:
    """If the user does not exist, raise a ValueError."""
    auth = half.auth()
    with half.raises(ValueError):
        auth.get_reset_password_token(UNKNOWN)


@case(17, who="house")
def the_refusal_names_the_email(half: Half) -> None:
    """The message says who does not exist."""
    for email in (UNKNOWN, "bob"):
        auth = half.auth()
        with half.raises(ValueError, f"User {email} does not exist"):
            auth.get_reset_password_token(email)


@case(
    18,
    en="The answer holds the email and, named reset_token, the token that was made.",
    fr="La réponse contient l'email et, sous le nom reset_token, le jeton créé.",
    who="exercise",
)
def post_reset_password(half: Half) -> None:
    """POST /reset_password answers with the email and the token."""
    reply = registered(half).post("/reset_password", email=BOB)
    if half.is_mended:  # a repaired answer may keep the token for the owner's mailbox
        half.answers(reply, {200, 202})
        half.expect((reply.get_json(silent=True) or {}).get("email"), BOB, ", and its email")
        return
    token = half.row(BOB)["reset_token"]
    half.answers(reply, 200, {"email": BOB, "reset_token": token})
    half.expect_a(token, str, ", and the reset_token of the row")


@case(
    18,
    en="Answer 403 when the email is not registered.",
    fr="Répondez 403 quand l'email n'est pas enregistré.",
    who="exercise",
)
def post_reset_password_of_an_unknown_email(half: Half) -> None:
    """If the email is not registered, respond with a 403 status code."""
    reply = registered(half).post("/reset_password", email=UNKNOWN)
    half.answers(reply, {200, 202, 403} if half.is_mended else 403)


@case(
    19,
    en="The new password is hashed and saved, and the token becomes None in the same call.",
    fr="Le nouveau mot de passe est haché et enregistré, et le jeton devient None dans le même "
    "appel.",
)
def update_password(half: Half) -> None:
    """Hash the new password, update the user's hashed_password, set the reset_token to None."""
    auth = half.auth()
    auth.register_user(EVE, half.good_password)
    auth.register_user(BOB, half.good_password)
    token = auth.get_reset_password_token(BOB)
    half.expect(auth.update_password(reset_token=token, password=NEW), None)
    row = half.row(BOB)
    stored = row["hashed_password"]
    half.expect_that(verifies(stored, NEW), "a hash of the new password", str(stored))
    half.expect(row["reset_token"], None, ", and the reset_token of the row")
    others = half.row(EVE)["hashed_password"]
    half.expect_that(verifies(others, half.good_password), "the others as they were", str(others))


@case(
    19,
    en="When no user has this token, or has it no longer, raise a ValueError.",
    fr="Si aucun utilisateur n'a ce jeton, ou ne l'a plus, levez une ValueError.",
)
def update_password_with_an_unknown_or_spent_token(half: Half) -> None:
    """If the token does not exist, raise a ValueError."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    token = auth.get_reset_password_token(BOB)
    with half.raises(ValueError):
        auth.update_password(NOBODYS, NEW)
    auth.update_password(token, NEW)
    with half.raises(ValueError):
        auth.update_password(token, "onze grenouilles")
    stored = half.row(BOB)["hashed_password"]
    half.expect_that(verifies(stored, NEW), "the password of the first call", str(stored))


@case(19, who="house")
def the_refusal_speaks_of_the_token(half: Half) -> None:
    """The message says what was wrong."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    try:
        auth.update_password(NOBODYS, NEW)
    except ValueError as error:
        half.expect_that("reset token" in str(error), "reset token", str(error))
    else:
        half.fail("ValueError", "None")


@case(
    20,
    en="The form brings email, reset_token and new_password; the answer says: Password updated.",
    fr="Le formulaire apporte email, reset_token et new_password ; la réponse dit : Password "
    "updated.",
    who="exercise",
)
def put_reset_password(half: Half) -> None:
    """PUT /reset_password sets the new password, and answers 403 to a spent token."""
    client = registered(half)
    client.post("/reset_password", email=BOB)
    if half.is_mended:
        token = half.attribute("app", "AUTH").get_reset_password_token(BOB)
    else:
        token = half.row(BOB)["reset_token"]
    sent = {"email": BOB, "reset_token": token, "new_password": NEW}
    reply = client.put("/reset_password", **sent)
    half.answers(reply, 200, {"email": BOB, "message": "Password updated"})
    stored = half.row(BOB)["hashed_password"]
    half.expect_that(verifies(stored, NEW), "a hash of the new password", str(stored))
    half.answers(client.put("/reset_password", **sent), 403)


@case(
    20,
    en="`update_password` raises an exception when the token is wrong: answer 403.",
    fr="`update_password` lève une exception quand le jeton est faux : répondez 403.",
)
def put_reset_password_with_a_wrong_token(half: Half) -> None:
    """If the token is invalid, catch the exception and respond with a 403 HTTP code."""
    client = registered(half)
    sent = {"email": BOB, "reset_token": NOBODYS, "new_password": NEW}
    half.answers(client.put("/reset_password", **sent), 403)
    stored = half.row(BOB)["hashed_password"]
    right = verifies(stored, half.good_password)
    half.expect_that(right, "the password as it was", str(stored))
