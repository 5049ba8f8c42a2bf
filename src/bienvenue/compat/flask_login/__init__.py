"""The names of Flask-Login 0.6, for an application that changes its import and nothing else.

`login_user` opens a session of the service, a row that can be listed, ended and revoked; the users
stay those of the application, by `get_id()` and `user_loader`. A session is opened by
`Sessions.open` alone, so a disabled account, a missing factor and the limit of sessions hold here.
"""

from bienvenue.compat.flask_login.guards import fresh_login_required, login_required
from bienvenue.compat.flask_login.links import FlaskLogin
from bienvenue.compat.flask_login.login_manager import LoginManager
from bienvenue.compat.flask_login.messages import (
    LOGIN_MESSAGE,
    LOGIN_MESSAGE_CATEGORY,
    REFRESH_MESSAGE,
    REFRESH_MESSAGE_CATEGORY,
)
from bienvenue.compat.flask_login.mixins import AnonymousUserMixin, UserMixin
from bienvenue.compat.flask_login.signals import (
    session_protected,
    user_accessed,
    user_loaded_from_cookie,
    user_loaded_from_request,
    user_logged_in,
    user_logged_out,
    user_login_confirmed,
    user_needs_refresh,
    user_unauthorized,
)
from bienvenue.compat.flask_login.test_client import FlaskLoginClient
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
    "LOGIN_MESSAGE",
    "LOGIN_MESSAGE_CATEGORY",
    "REFRESH_MESSAGE",
    "REFRESH_MESSAGE_CATEGORY",
    "AnonymousUserMixin",
    "FlaskLogin",
    "FlaskLoginClient",
    "LoginManager",
    "UserMixin",
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
    "session_protected",
    "set_login_view",
    "user_accessed",
    "user_loaded_from_cookie",
    "user_loaded_from_request",
    "user_logged_in",
    "user_logged_out",
    "user_login_confirmed",
    "user_needs_refresh",
    "user_unauthorized",
]
