"""The operations of the exercise.

It is as weak as the exercise is: good to learn from, and not for real people's passwords.
"""

import uuid

import bcrypt
from sqlalchemy.exc import NoResultFound

from db import DB
from user import User


def _hash_password(password: str) -> bytes:
    """Return a salted hash of the password."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt())


def _generate_uuid() -> str:
    """Return a new UUID as a string."""
    return str(uuid.uuid4())


class Auth:
    """Everything a person can do here: register, log in, log out, get back in."""

    def __init__(self) -> None:
        """Open the database."""
        self._db = DB()

    def register_user(self, email: str, password: str) -> User:
        """Save a new user, or raise ValueError if the email is taken."""
        try:
            self._db.find_user_by(email=email)
        except NoResultFound:
            return self._db.add_user(email, _hash_password(password).decode())
        raise ValueError(f"User {email} already exists")

    def valid_login(self, email: str, password: str) -> bool:
        """Say whether this is the password of this user."""
        try:
            user = self._db.find_user_by(email=email)
            return bcrypt.checkpw(password.encode(), user.hashed_password.encode())
        except (NoResultFound, ValueError):
            return False

    def create_session(self, email: str) -> str | None:
        """Open a session for the user and return its id, or None if there is no such user."""
        try:
            user = self._db.find_user_by(email=email)
        except NoResultFound:
            return None
        session_id = _generate_uuid()
        self._db.update_user(user.id, session_id=session_id)
        return session_id

    def get_user_from_session_id(self, session_id: str | None) -> User | None:
        """Return the user whose session this is, or None."""
        if session_id is None:
            return None
        try:
            return self._db.find_user_by(session_id=session_id)
        except NoResultFound:
            return None

    def destroy_session(self, user_id: int) -> None:
        """End the session of the user."""
        self._db.update_user(user_id, session_id=None)

    def get_reset_password_token(self, email: str) -> str:
        """Return a new reset token for the user, or raise ValueError if there is no such user."""
        try:
            user = self._db.find_user_by(email=email)
        except NoResultFound:
            raise ValueError(f"User {email} does not exist") from None
        reset_token = _generate_uuid()
        self._db.update_user(user.id, reset_token=reset_token)
        return reset_token

    def update_password(self, reset_token: str, password: str) -> None:
        """Spend the reset token on a new password, or raise ValueError if no user has it."""
        try:
            user = self._db.find_user_by(reset_token=reset_token)
        except NoResultFound:
            raise ValueError("unknown reset token") from None
        hashed_password = _hash_password(password).decode()
        self._db.update_user(user.id, hashed_password=hashed_password, reset_token=None)
