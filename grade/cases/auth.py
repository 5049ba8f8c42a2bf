"""auth.py: hash, register, check, and the life of a session."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import bcrypt

from grade.case import case

if TYPE_CHECKING:
    from grade.half import Half

BOB, EVE = "bob@example.com", "eve@example.com"
UNKNOWN = "unknown@example.com"


def verifies(stored: object, password: str) -> bool:
    """Tell whether a stored hash, as text or bytes, is one of this password."""
    hashed = stored.encode() if isinstance(stored, str) else stored
    try:
        return isinstance(hashed, bytes) and bcrypt.checkpw(password.encode(), hashed)
    except ValueError:
        return False


def is_uuid(value: object) -> bool:
    """Tell whether it is the text of a UUID, as Python writes it."""
    try:
        return str(uuid.UUID(str(value))) == value
    except ValueError:
        return False


@case(
    5,
    en="bcrypt takes bytes and returns bytes; return what it returns.",
    fr="bcrypt prend des octets et rend des octets ; retournez ce qu'il rend.",
)
def hash_password_returns_bytes(half: Half) -> None:
    """It takes in a password string argument and returns bytes."""
    half.expect_a(half.hash_password(half.good_password), bytes)


@case(
    5,
    en="Two hashes of one password differ by their salt. bcrypt makes a new salt when asked.",
    fr="Deux hachages du même mot de passe diffèrent par le sel. bcrypt en crée un sur demande.",
)
def hash_password_is_a_salted_hash_by_bcrypt(half: Half) -> None:
    """The returned bytes is a salted hash of the input password, hashed with bcrypt.hashpw."""
    one, other = half.hash_password(half.good_password), half.hash_password(half.good_password)
    half.expect_that(one != other, "another hash each time", "the same one twice")
    half.expect_that(verifies(one, half.good_password), "a bcrypt hash of it", str(one))
    half.expect_that(not verifies(other, "another password"), "of it alone", str(other))


@case(5, who="house")
def hash_password_costs_what_bcrypt_proposes(half: Half) -> None:
    """The cost is 12, so one hash takes about a quarter of a second."""
    made = half.hash_password(half.good_password)
    half.expect_that(made.startswith(b"$2b$12$"), "$2b$12$…", str(made))


@case(
    6,
    en="Return the User that `add_user` gives you.",
    fr="Retournez le User que `add_user` vous donne.",
)
def register_user_returns_the_user(half: Half) -> None:
    """It should take mandatory email and password string arguments and return a User object."""
    user = half.user(half.auth().register_user(email=BOB, password=half.good_password))
    half.expect(user.email, BOB, ".email")


@case(
    6,
    en="What is saved is the hash of the password, never the password.",
    fr="On enregistre le hachage du mot de passe, jamais le mot de passe lui-même.",
)
def register_user_saves_the_hash(half: Half) -> None:
    """Hash the password with _hash_password, save the user to the database using self._db."""
    user = half.user(half.auth().register_user(BOB, half.good_password))
    row = half.row(BOB)
    half.expect(row["id"], user.id, ", and the id of its row")
    right = verifies(row["hashed_password"], half.good_password)
    half.expect_that(right, "a hash of the password", str(row["hashed_password"]), ", and the row")


@case(
    6,
    en="Let `_hash_password` make the hash.",
    fr="Laissez `_hash_password` calculer le hachage.",
    who="exercise",
)
def register_user_uses_hash_password(half: Half) -> None:
    """Hash the password with _hash_password."""
    auth = half.auth()
    with half.replaced("auth", "_hash_password", lambda _: b"made by _hash_password"):
        auth.register_user(BOB, half.good_password)
    stored = half.row(BOB)["hashed_password"]
    said = stored.decode() if isinstance(stored, bytes) else stored
    half.expect(said, "made by _hash_password", ", and the hashed_password of the row")


@case(
    6,
    en="Look up the email first: here it is an error to find a user, and fine to find none.",
    fr="Cherchez d'abord l'email : ici, l'erreur est de trouver quelqu'un, pas l'inverse.",
)
def register_user_refuses_a_taken_email(half: Half) -> None:
    """If a user already exist with the passed email, raise a ValueError with this message."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    with half.raises(ValueError, f"User {BOB} already exists"):
        auth.register_user(BOB, half.good_password + " once more")
    stored = half.row(BOB)["hashed_password"]
    half.expect_that(verifies(stored, half.good_password), "the first password", "another one")
    auth.register_user(EVE, half.good_password)
    half.expect(len(half.rows()), 2, ", and the number of rows")


@case(
    9,
    en="bcrypt can check a password against a stored hash; it takes both as bytes.",
    fr="bcrypt sait comparer un mot de passe au hachage enregistré ; il prend les deux en octets.",
)
def valid_login_of_the_right_password(half: Half) -> None:
    """If it matches return True."""
    auth = half.auth()
    auth.register_user(EVE, half.good_password + " of eve")
    auth.register_user(BOB, half.good_password)
    half.expect(auth.valid_login(email=BOB, password=half.good_password), True)


@case(
    9,
    en="Whatever goes wrong, the answer is False and no exception leaves the method.",
    fr="Quoi qu'il arrive, la réponse est False et aucune exception ne sort de la méthode.",
)
def valid_login_in_any_other_case(half: Half) -> None:
    """In any other case, return False."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    auth.register_user(EVE, half.good_password + " of eve")
    half.expect(auth.valid_login(UNKNOWN, half.good_password), False)
    half.expect(auth.valid_login(BOB, half.good_password + " of eve"), False)
    half.expect(auth.valid_login(BOB, half.good_password[:-1]), False)
    half.expect(auth.valid_login(BOB, half.good_password.upper()), False)
    half.expect(auth.valid_login(EVE, half.good_password), False)


@case(9, who="house")
def valid_login_of_what_bcrypt_refuses(half: Half) -> None:
    """A password of more than 72 bytes and a stored text that is no hash are False too."""
    auth = half.auth()
    bob = auth.register_user(BOB, half.good_password)
    half.expect(auth.valid_login(BOB, half.good_password * 5), False)
    auth._db.update_user(bob.id, hashed_password="no hash at all")
    half.expect(auth.valid_login(BOB, half.good_password), False)


@case(
    10,
    en="The uuid module makes an object; the function returns its text.",
    fr="Le module uuid crée un objet ; la fonction en retourne le texte.",
)
def generate_uuid_is_a_string_of_a_new_uuid(half: Half) -> None:
    """The function should return a string representation of a new UUID."""
    made = [half.generate_uuid() for _ in range(100)]
    half.expect_a(made[0], str)
    for each in made:
        half.expect_that(re.fullmatch(r"[0-9a-fA-F-]{36}", each), "the text of a UUID", each)
        half.expect_that(is_uuid(each.lower()), "the text of a UUID", each)
    half.expect(len(set(made)), 100, ", and how many of a hundred differ")


@case(
    11,
    en="Return the text that you have saved, and nothing around it.",
    fr="Retournez le texte que vous avez enregistré, rien de plus.",
)
def create_session_returns_the_session_id(half: Half) -> None:
    """It takes an email string argument and returns the session ID as a string."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    made = auth.create_session(email=BOB)
    half.expect_a(made, str)
    half.expect_that(re.fullmatch(half.session_id, made), "a session id", made)


@case(
    11,
    en="Find the user with this email, and save the new UUID as session_id; public methods of _db "
    "do both.",
    fr="Trouvez l'utilisateur qui a cet email et enregistrez le nouvel UUID comme session_id ; des "
    "méthodes publiques de _db font les deux.",
)
def create_session_stores_a_uuid(half: Half) -> None:
    """Generate a new UUID and store it in the database as the user's session_id."""
    auth = half.auth()
    auth.register_user(EVE, half.good_password)
    auth.register_user(BOB, half.good_password)
    made = auth.create_session(BOB)
    stored = half.row(BOB)["session_id"]
    half.expect_stored(stored, made)
    if not half.is_mended:
        half.expect_that(is_uuid(stored), "a UUID", str(stored), ", and the session_id of the row")
    half.expect(half.row(EVE)["session_id"], None, ", and the session_id of another user")


@case(
    11,
    en="Generate the UUID inside the method, at every call.",
    fr="Générez l'UUID dans la méthode, à chaque appel.",
)
def create_session_is_new_every_time(half: Half) -> None:
    """Generate a new UUID."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    half.expect(len({auth.create_session(BOB) for _ in range(5)}), 5, ", and how many of 5 differ")


@case(11, who="house")
def create_session_of_an_unknown_email(half: Half) -> None:
    """Find the user corresponding to the email: without one there is no session ID."""
    half.expect(half.auth().create_session(UNKNOWN), None)


@case(
    13,
    en="Search by the column session_id.",
    fr="Cherchez par la colonne session_id.",
)
def get_user_from_session_id(half: Half) -> None:
    """It takes a single session_id string argument and returns the corresponding User."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    auth.register_user(EVE, half.good_password)
    sessions = {email: auth.create_session(email) for email in (BOB, EVE)}
    for email, session_id in sessions.items():
        found = half.user(auth.get_user_from_session_id(session_id=session_id))
        half.expect(found.email, email, ".email")


@case(
    13,
    en="A user who is not signed in has None in that column. What does a search for None find?",
    fr="Un utilisateur non connecté a None dans cette colonne. Que trouve une recherche de None ?",
)
def get_user_from_no_session_id(half: Half) -> None:
    """If the session ID is None, return None."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    half.expect(auth.get_user_from_session_id(None), None)


@case(
    13,
    en="`find_user_by` raises an exception when there is no such user.",
    fr="`find_user_by` lève une exception quand aucun utilisateur ne correspond.",
)
def get_user_from_an_unknown_session_id(half: Half) -> None:
    """If no user is found, return None."""
    auth = half.auth()
    auth.register_user(BOB, half.good_password)
    half.expect(auth.get_user_from_session_id(""), None)
    half.expect(auth.get_user_from_session_id(str(uuid.uuid4())), None)


@case(
    14,
    en="The session_id of this one user becomes None; there is nothing to return.",
    fr="Le session_id de ce seul utilisateur devient None ; rien à retourner.",
)
def destroy_session_ends_the_session(half: Half) -> None:
    """The user's session ID becomes None; it takes a user_id and returns None."""
    auth = half.auth()
    bob = half.user(auth.register_user(BOB, half.good_password)).id
    auth.register_user(EVE, half.good_password)
    sessions = [auth.create_session(email) for email in (BOB, EVE)]
    half.expect(auth.destroy_session(user_id=bob), None)
    if half.is_mended:
        half.expect(auth.get_user_from_session_id(sessions[0]), None)
        half.expect_a(auth.get_user_from_session_id(sessions[1]), half.User)
        return
    half.expect(half.row(BOB)["session_id"], None, ", and the session_id of the row")
    kept = half.row(EVE)["session_id"]
    half.expect_that(kept, "a session_id", str(kept), ", and the row of another user")
