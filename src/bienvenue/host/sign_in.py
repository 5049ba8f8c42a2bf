"""Signing a user in and out by code of a host application that has verified the user itself."""

from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from flask import Response, after_this_request, request

from bienvenue import clock
from bienvenue.authentication import Authentication, Channel
from bienvenue.features.accounts import Accounts
from bienvenue.features.passwords import WrongCredentials
from bienvenue.features.reauthentication import Reauthentication
from bienvenue.features.sessions import Sessions
from bienvenue.host.application import dispatcher
from bienvenue.host.current import CurrentUser, current_user, found
from bienvenue.user import User
from bienvenue.web import cookies, crosssite, form_drafts, outcomes, redirects
from bienvenue.web.dispatch import Dispatcher

#: When a session was authenticated that is not fresh: so long ago that no guard takes it for fresh.
_LONG_AGO = 0.0
_CROSSINGS = 3


class Identified(Protocol):
    """An object with the public name of an account, as Flask-Login has them."""

    def get_id(self) -> str:
        """Return the uid or the email of the account."""


def login_user(
    user: User | Identified | str,
    *,
    remember: bool = True,
    duration: float | timedelta | None = None,
    fresh: bool = True,
) -> CurrentUser:
    """Sign in a user whom the application has verified; set the cookie on this response.

    `user` is a User, a uid or an email, or an object whose `get_id()` is one. The session ends with
    the browser unless `remember`, after `duration` (seconds or a timedelta) if that is less than
    `session_lifetime`, and is not fresh unless `fresh`. The session that this browser had ends.
    Raises NoSuchUser, AccountDisabled, AccountClosed, and MFARequired while the account must show
    another factor; the application answers each of them as the service does, if the view lets it.
    """
    service = dispatcher()
    sessions: Sessions = service.auth.use(Sessions)
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    caller = service.identity.caller(None, Channel.CODE)
    for _ in range(_CROSSINGS):
        authentication = Authentication(
            service.auth.use(Accounts).find(_name_of(user)),
            at=clock.now() if fresh else _LONG_AGO,
            remember=remember,
            lifetime=None if seconds is None else max(1, int(seconds)),
        )
        opened = sessions.open(
            replace(caller, actor="code"),
            authentication,
            replaces=service.identity.visitor().session,
        )
        if opened is not None:
            break
    else:
        # The account changed each time between its reading and its session.
        raise WrongCredentials
    _use(service, opened.secret)

    @after_this_request
    def without_what_was_kept(response: Response) -> Response:
        cookies.clear_return(request, response, service.settings)
        outcomes.discard(request, response, service.settings)
        return response

    return current_user


def return_to(default: str | None = None) -> str:
    """Return where to send a browser that your code has just signed in, or out.

    That is the page it wanted: the parameter `next` of this request, or the page at which a guard
    stopped it. Like the service's own pages this never leads to another site, unless its origin is
    listed. A browser that wanted none goes to `default`, by default to `after_sign_in` of the
    settings, else to the profile.
    """
    service = dispatcher()
    wanted = service.rendering.wanted(request.values.get("next"))
    fallback = default or service.settings.after("sign_in")
    return wanted or fallback or redirects.mounted("/profile")


def confirm_user() -> bool:
    """Make the session of this request fresh: the application has verified its user again.

    The session gets a new secret, whose cookie this response sets. Returns whether a user was
    signed in. Raises NotSignedIn when the session ended meanwhile, and DatabaseUnavailable.
    """
    service = dispatcher()
    me = service.identity.signed_in()
    if me is None:
        return False
    caller = service.identity.caller(me, Channel.CODE)
    _use(service, service.auth.use(Reauthentication).vouch(caller, me))
    return True


def _use(service: Dispatcher, secret: str) -> None:
    """Let the rest of this request, and the browser from now on, have this session."""
    service.identity.become(service.identity.of_session(secret))
    request.environ[crosssite.OPENED] = (service.settings, secret)

    @after_this_request
    def with_cookie(response: Response) -> Response:
        service.rendering.set_session(response, secret)
        return response


def logout_user() -> bool:
    """Sign out the user of this request; return whether there was one.

    Deletes the cookie on this response. Raises DatabaseUnavailable.
    """
    service = dispatcher()
    if found() is None:
        return False
    me = service.identity.signed_in()
    if me is not None and me.token is not None:
        # A program is not signed in: its token ends by being revoked.
        return False
    service.auth.use(Sessions).end(service.identity.caller(me, Channel.CODE), me)
    service.identity.become(None)
    request.environ[crosssite.OPENED] = (service.settings, None)

    @after_this_request
    def without_cookie(response: Response) -> Response:
        settings = service.settings
        cookies.clear(response, cookies.SESSION, settings)
        cookies.clear_return(request, response, settings)
        outcomes.discard(request, response, settings)
        form_drafts.discard(request, response, settings)
        return response

    return True


def _name_of(user: User | Identified | str) -> str:
    if isinstance(user, str):
        return user
    return user.uid if isinstance(user, User) else user.get_id()
