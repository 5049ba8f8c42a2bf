"""Bienvenue: a user authentication service, by itself or inside a Flask application."""

from bienvenue.app import Bienvenue, create_app, current_user, login_required
from bienvenue.auth import Auth
from bienvenue.db import DB
from bienvenue.user import User
from bienvenue.version import VERSION

__version__ = VERSION

__all__ = ["DB", "Auth", "Bienvenue", "User", "create_app", "current_user", "login_required"]
