"""What the users of an application need to have."""

from typing import Any


class UserMixin:
    """A user of the application: `get_id()` is its `id` as a text."""

    # A class with `__eq__` has no hash unless it says so.
    __hash__ = object.__hash__

    @property
    def is_active(self) -> bool:
        """Whether `login_user` signs the user in."""
        return True

    @property
    def is_authenticated(self) -> bool:
        """Whether guards let the user pass."""
        return self.is_active

    @property
    def is_anonymous(self) -> bool:
        """Whether this stands for a visitor."""
        return False

    def get_id(self) -> str:
        """Return the name that `user_loader` knows. Raises NotImplementedError without `id`."""
        try:
            found: Any = self.id  # type: ignore[attr-defined]  # the application's class has it
        except AttributeError:
            raise NotImplementedError("the user has no attribute id: define get_id()") from None
        return str(found)

    def __eq__(self, other: object) -> bool:
        """Compare users by `get_id()`."""
        if isinstance(other, UserMixin):
            return self.get_id() == other.get_id()
        return NotImplemented


class AnonymousUserMixin:
    """A visitor."""

    @property
    def is_authenticated(self) -> bool:
        """Whether guards let the visitor pass."""
        return False

    @property
    def is_active(self) -> bool:
        """Whether this is a user who may sign in."""
        return False

    @property
    def is_anonymous(self) -> bool:
        """Whether this stands for a visitor."""
        return True

    def get_id(self) -> None:
        """Return None: no user has this name."""
