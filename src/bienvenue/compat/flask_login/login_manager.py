"""LoginManager: who the user of a request is, and what happens to a request without one."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, abort, current_app, flash, has_request_context, redirect, request, session
from werkzeug.local import LocalProxy

from bienvenue.app import Bienvenue
from bienvenue.auth import Auth
from bienvenue.authentication import Channel
from bienvenue.compat.flask_login import browser_session, signals
from bienvenue.compat.flask_login.links import FlaskLogin
from bienvenue.compat.flask_login.messages import (
    LOGIN_MESSAGE,
    LOGIN_MESSAGE_CATEGORY,
    REFRESH_MESSAGE,
    REFRESH_MESSAGE_CATEGORY,
)
from bienvenue.compat.flask_login.mixins import AnonymousUserMixin
from bienvenue.compat.flask_login.urls import expand_login_view, login_url, make_next_param
from bienvenue.errors import Refusal
from bienvenue.host.application import dispatcher, refused
from bienvenue.host.current import found
from bienvenue.host.guards import view_asks_scopes
from bienvenue.host.sign_in import logout_user
from bienvenue.user import SignedIn
from bienvenue.web import responses
from bienvenue.web.refusals import NotSignedIn, ReauthenticationRequired

_log = logging.getLogger("bienvenue")

#: Where the environment of a request keeps its user: for which manager and which session.
_KEPT = "bienvenue.compat.flask_login"
_UNAUTHORIZED = 401

Loader = Callable[[Any], Any]
Handler = Callable[[], Any]


class LoginManager:
    """What an application says about its users, with the attributes of Flask-Login's class."""

    def __init__(
        self, app: Flask | None = None, add_context_processor: bool = True, **settings: Any
    ) -> None:
        """Take an application to join, and what `Bienvenue` takes by name."""
        self.anonymous_user: Callable[[], Any] = AnonymousUserMixin
        #: The view for signing in, by endpoint or address; without it, the service's own page.
        self.login_view: str | None = None
        self.blueprint_login_views: dict[str | None, str | None] = {}
        #: What is flashed before a redirect to that view, or None.
        self.login_message: str | None = LOGIN_MESSAGE
        self.login_message_category = LOGIN_MESSAGE_CATEGORY
        #: The view that asks for the password again; without it, the service's own page.
        self.refresh_view: str | None = None
        self.needs_refresh_message: str | None = REFRESH_MESSAGE
        self.needs_refresh_message_category = REFRESH_MESSAGE_CATEGORY
        #: "basic": a session from another address or browser is not fresh. "strong": it ends.
        self.session_protection: str | None = "basic"
        self.localize_callback: Callable[[str], str] | None = None
        self.unauthorized_callback: Handler | None = None
        self.needs_refresh_callback: Handler | None = None
        #: The method of a user that returns its name.
        self.id_attribute = "get_id"
        #: Whether the application verifies that an email belongs to its user: then a user without
        #: an account gets the one that has this email.
        self.link_by_email = False
        self._user_callback: Loader | None = None
        self._request_callback: Loader | None = None
        self._account_callback: Loader | None = None
        self._settings = settings
        if app is not None:
            self.init_app(app, add_context_processor)

    def init_app(self, app: Flask, add_context_processor: bool = True, **settings: Any) -> None:
        """Join an application, with the service in it: `Bienvenue` takes the `settings`.

        Raises what `Bienvenue.init_app` does. An application that has the service already has
        `Bienvenue(app, features=[FlaskLogin])`; else LookupError is raised.
        """
        if "bienvenue" in app.extensions:
            app.extensions["bienvenue"].auth.use(FlaskLogin)
        else:
            given = self._settings | settings
            given["features"] = (*given.get("features", ()), FlaskLogin)
            Bienvenue(app, **given)
        app.login_manager = self  # type: ignore[attr-defined]  # where Flask-Login has it
        if add_context_processor:
            app.context_processor(_user_context_processor)

    @property
    def auth(self) -> Auth:
        """The operations of the service in the application that answers."""
        found: Auth = dispatcher().auth
        return found

    # --- what the application adds --------------------------------------------------------------

    def user_loader(self, callback: Loader) -> Loader:
        """Take the function that returns a user by what `get_id()` returned, or None."""
        self._user_callback = callback
        return callback

    @property
    def user_callback(self) -> Loader | None:
        """The function of `user_loader`."""
        return self._user_callback

    def request_loader(self, callback: Loader) -> Loader:
        """Take the function that returns the user of a request without a session, or None."""
        self._request_callback = callback
        return callback

    @property
    def request_callback(self) -> Loader | None:
        """The function of `request_loader`."""
        return self._request_callback

    def account_loader(self, callback: Loader) -> Loader:
        """Take the function that returns the user of an account that is linked to none, or None.

        It is called with `bienvenue.current_user` when such an account signed in on a page of the
        service, for example after registering there. The two are linked from then on.
        """
        self._account_callback = callback
        return callback

    def unauthorized_handler(self, callback: Handler) -> Handler:
        """Take the function that answers in the place of `unauthorized`."""
        self.unauthorized_callback = callback
        return callback

    def needs_refresh_handler(self, callback: Handler) -> Handler:
        """Take the function that answers in the place of `needs_refresh`."""
        self.needs_refresh_callback = callback
        return callback

    # --- requests that may not go on ------------------------------------------------------------

    def unauthorized(self) -> Any:
        """Answer a request that needs a user: a redirect to `login_view`, or a refusal."""
        signals.user_unauthorized.send(_app())
        if self.unauthorized_callback:
            return current_app.ensure_sync(self.unauthorized_callback)()
        view = self.blueprint_login_views.get(request.blueprint, self.login_view)
        if not view:
            return _refused(NotSignedIn())
        return self._redirect(view, self.login_message, self.login_message_category)

    def needs_refresh(self) -> Any:
        """Answer a request that needs a fresh session: a redirect to `refresh_view`, or refuse."""
        signals.user_needs_refresh.send(_app())
        if self.needs_refresh_callback:
            return current_app.ensure_sync(self.needs_refresh_callback)()
        if self.refresh_view:
            category = self.needs_refresh_message_category
            return self._redirect(self.refresh_view, self.needs_refresh_message, category)
        if not responses.wants_page(request):
            # What programs of such an application know.
            abort(_UNAUTHORIZED)
        return _refused(ReauthenticationRequired())

    def _redirect(self, view: str, message: str | None, category: str) -> Any:
        if message:
            localize = self.localize_callback
            flash(localize(message) if localize else message, category=category)
        if current_app.config.get("USE_SESSION_FOR_NEXT", False):
            session["next"] = make_next_param(expand_login_view(view), request.url)
            return redirect(login_url(view), _FOUND)
        return redirect(login_url(view, next_url=request.url), _FOUND)

    # --- the user of a request ------------------------------------------------------------------

    def user(self) -> Any:
        """Return the user of this request, looked up once for each session it has."""
        me = dispatcher().identity.signed_in()
        kept = request.environ.get(_KEPT)
        if kept is None or kept[0] is not self or kept[1] is not me:
            self._load_user()
            kept = request.environ[_KEPT]
        return kept[2]

    def _load_user(self) -> None:
        if self._user_callback is None and self._request_callback is None:
            raise RuntimeError(
                "Missing user_loader or request_loader: the application says with one of them who "
                "its users are"
            )
        signals.user_accessed.send(_app())
        me = dispatcher().identity.signed_in()
        if me is not None and me.token is not None:
            if not (me.token.allows("*") or view_asks_scopes()):
                # A token of few scopes opens no view that names none.
                me = None
        elif me is not None and self._is_refused(me):
            logout_user()
            browser_session.clear()
            me = None
        user = None if me is None else self._user_of(me)
        if user is None and self._request_callback is not None:
            user = self._request_callback(request)
            if user is not None:
                signals.user_loaded_from_request.send(_app(), user=user)
        self._update_request_context_with_user(user)

    def _update_request_context_with_user(self, user: Any = None) -> None:
        """Keep the user of this request, and of its session as it now is."""
        me = dispatcher().identity.signed_in()
        found = self.anonymous_user() if user is None else user
        request.environ[_KEPT] = (self, me, found)

    def _user_of(self, me: SignedIn) -> Any:
        """Return the application's user of a session, or None."""
        if self._user_callback is None:
            return None
        links = self.auth.use(FlaskLogin)
        login_id = links.id_of(me.user_id)
        user = self._of_account(me) if login_id is None else self._user_callback(login_id)
        if me.token is not None:
            return user
        if user is not None and browser_session.noted_origin(me.session_uid) is None:
            caller = dispatcher().identity.caller(me, Channel.CODE)
            browser_session.note(me.session_uid, caller, fresh=False)
            browser_session.note_user(self.id_of(user))
            signals.user_loaded_from_cookie.send(_app(), user=user)
        return user

    def _of_account(self, me: SignedIn) -> Any:
        user = None if self._account_callback is None else self._account_callback(found())
        if user is None:
            _log.warning(
                "an account is signed in that is linked to no user of the application: import it "
                "with flask_login_id, link it by `flask bienvenue users link`, or give "
                "LoginManager an account_loader"
            )
            return None
        if me.token is not None:
            return user
        caller = dispatcher().identity.caller(me, Channel.CODE)
        self.auth.use(FlaskLogin).link(caller, me.user_uid, str(self.id_of(user)))
        return user

    def id_of(self, user: Any) -> Any:
        """Return the name of a user."""
        return getattr(user, self.id_attribute)()

    def _is_refused(self, me: SignedIn) -> bool:
        """Return whether a session must end, since it comes from elsewhere than before."""
        mode = current_app.config.get("SESSION_PROTECTION", self.session_protection)
        before = browser_session.noted_origin(me.session_uid)
        if mode not in {"basic", "strong"} or before is None:
            return False
        if before == browser_session.origin_of(dispatcher().identity.caller(me, Channel.CODE)):
            return False
        ends = mode == "strong" and not session.permanent
        if not ends:
            browser_session.note_fresh(fresh=False)
        signals.session_protected.send(_app())
        return ends


_FOUND = 302


def manager() -> LoginManager:
    """Return the LoginManager of the application that answers."""
    found: LoginManager = current_app.login_manager  # type: ignore[attr-defined]  # see init_app
    return found


def _get_user() -> Any:
    """Return the user of this request; None outside of one."""
    return manager().user() if has_request_context() else None


#: The user of this request: the application's own object, or `LoginManager.anonymous_user`.
current_user: Any = LocalProxy(_get_user)


def _user_context_processor() -> dict[str, Any]:
    return {"current_user": current_user}


def _refused(refusal: Refusal) -> Any:
    """Answer with a refusal, unless the application has an answer of its own to 401."""
    handlers = current_app.error_handler_spec
    if any(_UNAUTHORIZED in handlers[name] for name in (None, *request.blueprints)):
        abort(_UNAUTHORIZED)
    return refused(refusal)


def _app() -> Flask:
    return current_app._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 (how a proxy gives what it stands for)
