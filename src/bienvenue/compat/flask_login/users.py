"""Signing users of the application in and out, and what is known of their session."""

from datetime import timedelta
from typing import Any

from flask import current_app

from bienvenue.authentication import Channel
from bienvenue.compat.flask_login import browser_session, signals
from bienvenue.compat.flask_login.links import FlaskLogin
from bienvenue.compat.flask_login.login_manager import (
    current_user,
    manager,
)
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.sessions import Sessions
from bienvenue.host import sign_in
from bienvenue.host.application import dispatcher
from bienvenue.user import SignedIn

__all__ = [
    "confirm_login",
    "current_user",
    "login_fresh",
    "login_remembered",
    "login_user",
    "logout_user",
    "set_login_view",
]


def login_user(
    user: Any,
    remember: bool = False,
    duration: timedelta | None = None,
    force: bool = False,
    fresh: bool = True,
) -> bool:
    """Open a session for a user whom the application has verified; return whether it did.

    It does not for a user who is not `is_active`, unless with `force`, nor for an account that an
    administrator disabled, even so. The session ends with the browser unless `remember`, and then
    after `duration`, by default `REMEMBER_COOKIE_DURATION`; `session_lifetime` is the longest. A
    user without an account gets one with the user's `email`. Raises NoAccount, the refusals of
    `FlaskLogin.account_of`, AccountClosed and MFARequired; the application answers refusals.
    """
    if not force and not user.is_active:
        return False
    mine, seconds = manager(), _duration(duration) if remember else None
    service = dispatcher()
    login_id = mine.id_of(user)
    account = service.auth.use(FlaskLogin).account_of(
        service.identity.caller(None, Channel.CODE),
        str(login_id),
        getattr(user, "email", None),
        trust=mine.link_by_email,
    )
    try:
        sign_in.login_user(account, remember=remember, duration=seconds, fresh=fresh)
    except AccountDisabled:
        return False
    browser_session.note_fresh(fresh=fresh)
    browser_session.note_user(login_id)
    mine._update_request_context_with_user(user)  # noqa: SLF001 (of this package)
    signals.user_logged_in.send(_app(), user=mine.user())
    return True


def logout_user() -> bool:
    """End the session of this browser; return True."""
    mine = manager()
    user = mine.user()
    sign_in.logout_user()
    browser_session.clear()
    mine._update_request_context_with_user()  # noqa: SLF001 (of this package)
    signals.user_logged_out.send(_app(), user=user)
    return True


def confirm_login() -> None:
    """Make the session fresh: the application has verified its user again."""
    mine = manager()
    user = mine.user()
    if sign_in.confirm_user():
        mine._update_request_context_with_user(user)  # noqa: SLF001 (of this package)
    signals.user_login_confirmed.send(_app())


def login_fresh() -> bool:
    """Return whether the user authenticated since the browser was opened, and lately.

    Lately is within `session_fresh` seconds; Flask-Login knows no such end.
    """
    me = _me()
    if me is None or not browser_session.is_fresh(me.session_uid):
        return False
    sessions: Sessions = dispatcher().auth.use(Sessions)
    return sessions.is_fresh(me)


def login_remembered() -> bool:
    """Return whether the browser keeps the session when it closes."""
    me = _me()
    return me is not None and bool(me.remembered)


def set_login_view(login_view: str, blueprint: Any = None) -> None:
    """Name the view for signing in, of the application or of one blueprint."""
    mine = manager()
    views = mine.blueprint_login_views
    if blueprint is None and not views:
        mine.login_view = login_view
        return
    views.setdefault(None, mine.login_view)
    views[None if blueprint is None else blueprint.name] = login_view
    mine.login_view = None


def _me() -> SignedIn | None:
    """Return the session of this request, once it was looked at from where it comes."""
    manager().user()
    return dispatcher().identity.signed_in()


def _duration(given: Any) -> float | None:
    """Return for how many seconds a session is remembered, None for the longest."""
    name, value = "duration", given
    if given is None:
        name = "REMEMBER_COOKIE_DURATION"
        value = current_app.config.get(name)
        if isinstance(value, int):
            value = timedelta(seconds=value)
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a datetime.timedelta, instead got: {value}")
    return value.total_seconds()


def _app() -> Any:
    return current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (how a proxy gives what it stands for)
