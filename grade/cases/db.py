"""db.py: add_user, find_user_by, update_user."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from sqlalchemy.exc import InvalidRequestError, NoResultFound

from grade.case import case

if TYPE_CHECKING:
    from grade.half import Half

ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"


@case(
    2,
    en="Make a User of the two arguments, save it, and return that object.",
    fr="Créez un User avec les deux arguments, enregistrez-le et retournez cet objet.",
)
def add_user_returns_the_user(half: Half) -> None:
    """Return a User object."""
    user = half.user(half.db().add_user(BOB, "hash of bob"))
    half.expect(user.email, BOB, ".email")
    half.expect(user.hashed_password, "hash of bob", ".hashed_password")
    half.expect(user.session_id, None, ".session_id")
    half.expect(user.reset_token, None, ".reset_token")


@case(
    2,
    en="What is added to a session reaches the table when the session is committed.",
    fr="Ce qu'on ajoute à une session arrive dans la table quand la session est validée (commit).",
)
def add_user_saves_the_user(half: Half) -> None:
    """The method should save the user to the database."""
    user = half.user(half.db().add_user(BOB, "hash of bob"))
    row = half.row(BOB)
    half.expect_a(user.id, int, ".id")
    half.expect(row["id"], user.id, ", and the id of its row")
    half.expect(row["hashed_password"], "hash of bob", ", and the hashed_password of its row")


@case(
    2,
    en="Both arguments are required, in this order and with these names.",
    fr="Les deux arguments sont obligatoires, dans cet ordre et sous ces noms.",
)
def add_user_has_two_required_arguments(half: Half) -> None:
    """It has two required string arguments: email and hashed_password."""
    db = half.db()
    db.add_user(email=BOB, hashed_password="hash of bob")
    parameters = inspect.signature(half.DB.add_user).parameters.values()
    required = [each.name for each in parameters if each.default is inspect.Parameter.empty]
    half.expect(required, ["self", "email", "hashed_password"], ", and its required arguments")


@case(
    2,
    en="Each call makes a new row; the primary key is for the database to choose.",
    fr="Chaque appel crée une nouvelle ligne ; c'est la base qui choisit la clé primaire.",
)
def every_user_has_an_id_of_its_own(half: Half) -> None:
    """Id is the primary key."""
    db = half.db()
    ids = [half.user(db.add_user(email, "hash")).id for email in (ANN, BOB, EVE)]
    half.expect(len(set(ids)), 3, ", and how many ids three users have")
    half.expect(len(half.rows()), 3, ", and the number of rows")


@case(
    3,
    en="The keyword arguments are the filter, whichever columns they name.",
    fr="Les arguments nommés forment le filtre, quelles que soient les colonnes.",
)
def find_user_by_takes_any_attribute(half: Half) -> None:
    """It takes in arbitrary keyword arguments."""
    db = half.db()
    db.add_user(ANN, "hash of ann")
    bob = half.user(db.add_user(BOB, "hash of bob")).id
    half.put_behind_its_back(bob, "session_id", "session of bob")
    half.put_behind_its_back(bob, "reset_token", "token of bob")
    for name, value in half.row(BOB).items():
        if name in {"id", "email", "hashed_password", "session_id", "reset_token"}:
            found = half.user(db.find_user_by(**{name: value}))
            half.expect(found.email, BOB, ".email")
    half.expect(half.user(db.find_user_by(id=bob, email=BOB)).email, BOB, ".email")


@case(
    3,
    en="Several rows may fit. SQLAlchemy has a way to take the first of them.",
    fr="Plusieurs lignes peuvent convenir. SQLAlchemy sait prendre la première.",
)
def find_user_by_returns_the_first_row(half: Half) -> None:
    """Return the first row found in the users table as filtered by the input arguments."""
    db = half.db()
    for email, hashed in ((ANN, "another"), (BOB, "the same"), (EVE, "the same")):
        db.add_user(email, hashed)
    half.expect(half.user(db.find_user_by(hashed_password="the same")).email, BOB, ".email")


@case(
    3,
    en="When no row fits there is an exception and no None. SQLAlchemy raises it for you in "
    "`one()`; if you raise it yourself, see that no `except` of yours turns it into another.",
    fr="Quand aucune ligne ne convient, il faut une exception et non None. SQLAlchemy la lève dans "
    "`one()` ; si vous la levez vous-même, qu'aucun de vos `except` ne la transforme.",
)
def no_result_found(half: Half) -> None:
    """NoResultFound is raised when no results are found."""
    db = half.db()
    bob = half.user(db.add_user(BOB, "hash of bob")).id
    wrong: list[dict[str, Any]] = [
        {"email": EVE},
        {"id": bob + 1},
        {"email": BOB, "hashed_password": "hash of eve"},
        {"email": EVE, "hashed_password": "hash of bob"},
    ]
    for values in wrong:
        with half.raises(NoResultFound):
            db.find_user_by(**values)


@case(
    3,
    en="`filter_by` raises it by itself for a name that is no column; do not swallow it.",
    fr="`filter_by` la lève déjà pour un nom qui n'est pas une colonne ; ne l'avalez pas.",
)
def invalid_request_error(half: Half) -> None:
    """InvalidRequestError is raised when wrong query arguments are passed."""
    db = half.db()
    db.add_user(BOB, "hash of bob")
    for values in ({"shoe_size": 43}, {"email": BOB, "shoe_size": 43}):
        # NoResultFound is an InvalidRequestError too, and it would be the wrong one.
        with half.raises(InvalidRequestError, but_not=NoResultFound):
            db.find_user_by(**values)


@case(
    4,
    en="Set every attribute on the user that was found, then commit; there is nothing to return.",
    fr="Modifiez chaque attribut de l'utilisateur trouvé, puis validez ; rien à retourner.",
)
def update_user_changes_the_attributes_and_returns_none(half: Half) -> None:
    """Update the user's attributes as passed in the method's arguments, return None."""
    db = half.db()
    ann = half.user(db.add_user(ANN, "hash of ann")).id
    bob = half.user(db.add_user(BOB, "hash of bob")).id
    done = db.update_user(user_id=bob, hashed_password="new hash", reset_token="token")
    half.expect(done, None)
    row = half.row(BOB)
    half.expect(row["hashed_password"], "new hash", ", and the hashed_password of the row")
    half.expect(row["reset_token"], "token", ", and the reset_token of the row")
    half.expect(half.row(ANN)["hashed_password"], "hash of ann", f", and the row of user {ann}")


@case(
    4,
    en="None is a value like any other: a column that may be empty can be emptied.",
    fr="None est une valeur comme une autre : une colonne facultative peut être vidée.",
)
def update_user_can_set_nothing(half: Half) -> None:
    """Session_id and reset_token are nullable, and become None again."""
    db = half.db()
    bob = half.user(db.add_user(BOB, "hash of bob")).id
    db.update_user(bob, session_id="session")
    half.expect(half.row(BOB)["session_id"], "session", ", and the session_id of the row")
    db.update_user(bob, session_id=None)
    half.expect(half.row(BOB)["session_id"], None, ", and the session_id of the row")


@case(
    4,
    en="Python lets you set any name on an object. Ask first whether the user has it.",
    fr="Python accepte n'importe quel nom sur un objet. Demandez d'abord si l'utilisateur l'a.",
)
def update_user_refuses_what_is_no_attribute(half: Half) -> None:
    """If an argument that does not correspond to a user attribute is passed, raise a ValueError."""
    db = half.db()
    bob = half.user(db.add_user(BOB, "hash of bob")).id
    for values in ({"shoe_size": 43}, {"reset_token": "token", "shoe_size": 43}):
        with half.raises(ValueError):
            db.update_user(bob, **values)


@case(
    4,
    en="Let `find_user_by` look the user up by id, and work with what it returns.",
    fr="Laissez `find_user_by` chercher l'utilisateur par id, et utilisez ce qu'il retourne.",
    who="exercise",
)
def update_user_uses_find_user_by(half: Half) -> None:
    """The method will use find_user_by to locate the user to update."""
    db = half.db()
    bob = half.user(db.add_user(BOB, "hash of bob")).id
    asked: list[dict[str, Any]] = []
    real = half.DB.find_user_by

    def find_user_by(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs)
        return real(self, *args, **kwargs)

    with patch.object(half.DB, "find_user_by", find_user_by):
        db.update_user(bob, reset_token="token")
    half.expect(asked, [{"id": bob}], ", and its calls of find_user_by")


@case(4, who="house")
def update_user_of_an_unknown_id(half: Half) -> None:
    """An unknown id is NoResultFound."""
    db = half.db()
    with half.raises(NoResultFound):
        db.update_user(1, hashed_password="new hash")


@case(4, who="house")
def a_refused_update_changes_nothing(half: Half) -> None:
    """What is no column is refused by its name, and nothing is saved."""
    for name in ("shoe_size", "metadata", "__tablename__"):
        db = half.db()
        bob = half.user(db.add_user(BOB, "hash of bob")).id
        try:
            db.update_user(bob, **{"hashed_password": "new hash", name: "43"})
        except ValueError as error:
            half.expect_that(name in str(error), name, str(error))
        else:
            half.fail("ValueError", "None")
        half.expect(db.find_user_by(id=bob).hashed_password, "hash of bob", ".hashed_password")
