"""Guards: who may reach a view of a host application.

A guard stands below the route of a view, sync or async, in `decorators` of a `MethodView`, or below
`before_request` of a blueprint or of the application. Guards nest in any order.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from flask import Response, current_app, request

from bienvenue.db import DatabaseUnavailable
from bienvenue.errors import Refusal
from bienvenue.features.groups import Groups
from bienvenue.features.groups.operations import Wanted, checked
from bienvenue.host.application import dispatcher, refused
from bienvenue.host.current import CurrentUser, found
from bienvenue.web import crosssite
from bienvenue.web.bearer import InsufficientScope, SessionRequired
from bienvenue.web.embedding import BLUEPRINT
from bienvenue.web.refusals import ReauthenticationRequired, as_refusal

#: The header of a form token, for scripts.
FORM_TOKEN_HEADER = "X-Form-Token"  # noqa: S105 (a name, no secret)

#: What a guarded view bears if one of its guards names scopes.
_MARK = "_bienvenue_asks_scopes"
#: Where the environment of a request keeps the endpoint whose guard names scopes.
_SCOPES_ASKED = "bienvenue.scopes_asked"

P = ParamSpec("P")
T = TypeVar("T")


class Guard(Protocol):
    """A decorator of views. A guarded view is sync: Flask runs an async one in the same way."""

    @overload
    def __call__(self, view: Callable[P, Awaitable[T]], /) -> Callable[P, T | Response]: ...

    @overload
    def __call__(self, view: Callable[P, T], /) -> Callable[P, T | Response]: ...


def _guard(check: Callable[[], object], *, asks_scopes: bool = False) -> Guard:
    """Make a guard; `check` raises the refusal of a request.

    `asks_scopes` tells that it names the scopes of its view.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if asks_scopes or _asks_scopes(view):
                request.environ[_SCOPES_ASKED] = request.endpoint
            refusal = None if _passes_unasked() else _refusal(check)
            if refusal is not None:
                return refused(refusal)
            # An async view runs in a thread of its own. The check does not: the session check uses
            # a connection that is kept for this thread.
            answer = current_app.ensure_sync(view)(*args, **kwargs)
            if inspect.isawaitable(answer):
                # A decorator between this one and an async view hid that it is async.
                return current_app.ensure_sync(_awaited)(answer)
            return answer

        vars(guarded)[_MARK] = asks_scopes or _asks_scopes(view)
        return guarded

    return cast("Guard", decorate)


def _asks_scopes(view: Any) -> bool:
    """Tell whether a guard within this view names its scopes."""
    return bool(getattr(view, _MARK, False))


def view_asks_scopes() -> bool:
    """Tell whether some guard of the view that answers names its scopes.

    It may stand around the guard that asks, or below it, or that one is a function before the
    request.
    """
    if request.endpoint is not None and request.environ.get(_SCOPES_ASKED) == request.endpoint:
        return True
    view = current_app.view_functions.get(request.endpoint or "")
    of_class = getattr(view, "view_class", None)
    return _asks_scopes(view) or _asks_scopes(getattr(of_class, request.method.lower(), None))


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


def _passes_unasked() -> bool:
    """Tell whether a request is not the view's to answer.

    The pages of the service guard themselves: a guard of the whole application would close the page
    for signing in. Flask itself answers OPTIONS, whose preflights bear no cookie (Fetch standard).
    """
    automatic = getattr(request.url_rule, "provide_automatic_options", False)
    return request.blueprint == BLUEPRINT or (request.method == "OPTIONS" and automatic)


def _refusal(check: Callable[[], object]) -> Refusal | None:
    try:
        check()
    except (Refusal, DatabaseUnavailable) as error:
        return as_refusal(error)
    return None


def _user(scopes: tuple[str, ...] = ()) -> CurrentUser:
    """Return who is signed in, by a session or by a token that has these scopes.

    Raises NotSignedIn, or the refusal of a token. A view that names no scope is one for a token
    with full access only, so that a token of few scopes opens nothing that its owner did not mean.
    """
    user = found()
    if user is None:
        raise dispatcher().identity.refusal()
    if not (user.has_scopes(*scopes) if scopes else view_asks_scopes() or user.has_scopes()):
        raise InsufficientScope(scopes)
    return user


@overload
def login_required(view: Callable[P, Awaitable[T]], /) -> Callable[P, T | Response]: ...


@overload
def login_required(view: Callable[P, T], /) -> Callable[P, T | Response]: ...


@overload
def login_required(*, scopes: str | Iterable[str] = ()) -> Guard: ...


def login_required(
    view: Callable[..., Any] | None = None, /, *, scopes: str | Iterable[str] = ()
) -> Any:
    """Let signed-in users reach a view, and programs whose access token has all of the scopes.

    Others are refused with 401; a browser goes to the sign-in page and comes back afterwards. A
    token that lacks a scope is refused with 403. Without a scope here or in another guard of the
    view, a token needs full access.
    """
    wanted = (scopes,) if isinstance(scopes, str) else tuple(scopes)
    guard = _guard(lambda: _user(wanted), asks_scopes=bool(wanted))
    return guard if view is None else guard(view)


def scopes_required(*scopes: str) -> Guard:
    """Let signed-in users reach a view, and programs whose access token has all of these scopes.

    It refuses as `login_required` does. Raises TypeError without a scope.
    """
    if not scopes:
        raise TypeError("scopes_required needs the name of a scope: @scopes_required('read')")
    return login_required(scopes=scopes)


@overload
def reauthentication_required(view: Callable[P, Awaitable[T]], /) -> Callable[P, T | Response]: ...


@overload
def reauthentication_required(view: Callable[P, T], /) -> Callable[P, T | Response]: ...


@overload
def reauthentication_required(*, within: float | timedelta | None = None) -> Guard: ...


def reauthentication_required(
    view: Callable[..., Any] | None = None, /, *, within: float | timedelta | None = None
) -> Any:
    """Let users reach a view who authenticated within some seconds, or within a timedelta.

    By default within `session_fresh` seconds. Others are refused with 403; a browser goes to the
    page that asks for the password and comes back afterwards.
    """
    seconds = within.total_seconds() if isinstance(within, timedelta) else within

    def check() -> None:
        user = found()
        if user is not None and user.token_uid is not None:
            raise SessionRequired
        if not _user().authenticated_within(seconds):
            raise ReauthenticationRequired

    guard = _guard(check)
    return guard if view is None else guard(view)


def groups_required(*groups: Wanted) -> Guard:
    """Let users reach a view who are in each of these groups, or in one of a tuple of groups.

    Others are refused with 403. Raises MalformedGroup, and TypeError without a group.
    """
    if not groups:
        raise TypeError("groups_required needs the name of a group: @groups_required('staff')")
    wanted = [(one,) if isinstance(one, str) else tuple(one) for one in groups]
    for name in (name for names in wanted for name in names):
        checked(name)

    return _guard(lambda: Groups.require(_user().groups, wanted))


def _require_form_token() -> None:
    if request.method not in crosssite.SAFE:
        service = dispatcher()
        me = service.identity.signed_in()
        if me is not None and me.token is not None:
            # No other site can make a browser send it, as it does a cookie.
            return
        token = request.form.get("form_token") or request.headers.get(FORM_TOKEN_HEADER)
        bound = crosssite.bound_cookies(request, service.settings)
        if not crosssite.valid(service.keys, token, bound):
            raise crosssite.CrossSite


#: Lets a request that changes something reach a view only with the `form_token()` of this browser,
#: in the field `form_token` or in a header, whether a user is signed in or not; a program with an
#: access token needs none. Others are refused with 403.
form_token_required: Guard = _guard(_require_form_token)
