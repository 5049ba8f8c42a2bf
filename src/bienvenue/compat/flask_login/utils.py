"""The names of Flask-Login's module `utils`, which applications import from there too."""

from bienvenue.compat.flask_login.guards import fresh_login_required, login_required
from bienvenue.compat.flask_login.urls import (
    decode_cookie,
    encode_cookie,
    login_url,
    make_next_param,
)
from bienvenue.compat.flask_login.users import (
    confirm_login,
    current_user,
    login_fresh,
    login_remembered,
    login_user,
    logout_user,
    set_login_view,
)

__all__ = [
    "confirm_login",
    "current_user",
    "decode_cookie",
    "encode_cookie",
    "fresh_login_required",
    "login_fresh",
    "login_remembered",
    "login_required",
    "login_url",
    "login_user",
    "logout_user",
    "make_next_param",
    "set_login_view",
]
