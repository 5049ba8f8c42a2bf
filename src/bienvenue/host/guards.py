"""Guards: who may reach a view of a host application.

A guard stands below the route of a view, sync or async, in `decorators` of a `MethodView`, or below
`before_request` of a blueprint or of the application. Guards nest in any order.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from flask import Response, current_app, request

from bienvenue.db import DatabaseUnavailable
from bienvenue.errors import Refusal
from bienvenue.host.application import dispatcher, refused
from bienvenue.user import SignedIn
from bienvenue.web.refusals import NotSignedIn, as_refusal

P = ParamSpec("P")
T = TypeVar("T")


class Guard(Protocol):
    """A decorator of views. A guarded view is sync: Flask runs an async one in the same way."""

    @overload
    def __call__(self, view: Callable[P, Awaitable[T]], /) -> Callable[P, T | Response]: ...

    @overload
    def __call__(self, view: Callable[P, T], /) -> Callable[P, T | Response]: ...


def _guard(require: Callable[[SignedIn], None]) -> Guard:
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


def _refusal(require: Callable[[SignedIn], None]) -> Refusal | None:
    try:
        me = dispatcher().identity.signed_in()
        if me is None:
            return NotSignedIn()
        require(me)
    except (Refusal, DatabaseUnavailable) as error:
        return as_refusal(error)
    return None


def _anyone(_: SignedIn) -> None:
    """Require nothing more of a user who is signed in."""


#: Lets signed-in users reach a view. Others are refused with 401; a browser goes to the sign-in
#: page and comes back afterwards.
login_required: Guard = _guard(_anyone)
