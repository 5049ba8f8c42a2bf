"""Bienvenue: a user authentication service, by itself or inside a Flask application."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bienvenue.version import VERSION

if TYPE_CHECKING:
    from bienvenue.app import Bienvenue, create_app
    from bienvenue.auth import Auth
    from bienvenue.db import DB
    from bienvenue.host.current import current_user
    from bienvenue.host.guards import (
        form_token_required,
        groups_required,
        login_required,
        reauthentication_required,
        scopes_required,
    )
    from bienvenue.host.sign_in import login_user, logout_user, return_to
    from bienvenue.user import User

__version__ = VERSION

__all__ = [
    "DB",
    "Auth",
    "Bienvenue",
    "User",
    "create_app",
    "current_user",
    "form_token_required",
    "groups_required",
    "login_required",
    "login_user",
    "logout_user",
    "reauthentication_required",
    "return_to",
    "scopes_required",
]

_MODULES = {
    "Auth": "auth",
    "DB": "db",
    "User": "user",
    "current_user": "host.current",
    "form_token_required": "host.guards",
    "groups_required": "host.guards",
    "login_required": "host.guards",
    "reauthentication_required": "host.guards",
    "scopes_required": "host.guards",
    "login_user": "host.sign_in",
    "logout_user": "host.sign_in",
    "return_to": "host.sign_in",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: loading all takes a second, in which a command hears no signal."""
    if name not in __all__:
        raise AttributeError(f"module 'bienvenue' has no attribute {name!r}")
    found = getattr(import_module(f"bienvenue.{_MODULES.get(name, 'app')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Name what can be imported from here."""
    return sorted({*globals(), *__all__})
