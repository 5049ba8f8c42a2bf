"""Guards: who may reach a view of a host application.

A guard stands below the route of a view, sync or async, in `decorators` of a `MethodView`, or below
`before_request` of a blueprint or of the application. Guards nest in any order.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from flask import Response, current_app, request

from bienvenue import clock
from bienvenue.db import DatabaseUnavailable
from bienvenue.errors import Refusal
from bienvenue.features.groups import Groups
from bienvenue.features.groups.operations import Wanted, checked
from bienvenue.host.application import refused
from bienvenue.host.current import CurrentUser, found
from bienvenue.web.refusals import NotSignedIn, ReauthenticationRequired, as_refusal

P = ParamSpec("P")
T = TypeVar("T")


class Guard(Protocol):
    """A decorator of views. A guarded view is sync: Flask runs an async one in the same way."""

    @overload
    def __call__(self, view: Callable[P, Awaitable[T]], /) -> Callable[P, T | Response]: ...

    @overload
    def __call__(self, view: Callable[P, T], /) -> Callable[P, T | Response]: ...


def _guard(require: Callable[[CurrentUser], None]) -> Guard:
    """Make a guard; `require` raises the refusal of a signed-in user."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            refusal = None if _passes_unasked() else _refusal(require)
            if refusal is not None:
                return refused(refusal)
            # An async view runs in a thread of its own. The check does not: the session check uses
            # a connection that is kept for this thread.
            answer = current_app.ensure_sync(view)(*args, **kwargs)
            if inspect.isawaitable(answer):
                # A decorator between this one and an async view hid that it is async.
                return current_app.ensure_sync(_awaited)(answer)
            return answer

        return guarded

    return cast("Guard", decorate)


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


def _passes_unasked() -> bool:
    """Tell whether a request is not the view's to answer.

    The pages of the service guard themselves: a guard of the whole application would close the page
    for signing in. Flask itself answers OPTIONS, whose preflights bear no cookie (Fetch standard).
    """
    automatic = getattr(request.url_rule, "provide_automatic_options", False)
    return request.blueprint == "bienvenue" or (request.method == "OPTIONS" and automatic)


def _refusal(require: Callable[[CurrentUser], None]) -> Refusal | None:
    try:
        user = found()
        if user is None:
            return NotSignedIn()
        require(user)
    except (Refusal, DatabaseUnavailable) as error:
        return as_refusal(error)
    return None


def _nothing_more(_: CurrentUser) -> None:
    """Require nothing more of a user who is signed in."""


#: Lets signed-in users reach a view. Others are refused with 401; a browser goes to the sign-in
#: page and comes back afterwards.
login_required: Guard = _guard(_nothing_more)


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

    def require(user: CurrentUser) -> None:
        since = clock.now() - user.authenticated_at.timestamp()
        if not (user.fresh if seconds is None else since < seconds):
            raise ReauthenticationRequired

    guard = _guard(require)
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

    def require(user: CurrentUser) -> None:
        Groups.require(user.groups, wanted)

    return _guard(require)
