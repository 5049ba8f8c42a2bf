"""Decorators of views, with the answers that LoginManager gives."""

import functools
from collections.abc import Callable
from typing import Any

from flask import current_app, request

from bienvenue.compat.flask_login.login_manager import current_user, manager
from bienvenue.compat.flask_login.users import login_fresh
from bienvenue.web.embedding import BLUEPRINT

View = Callable[..., Any]


def login_required(view: View) -> View:
    """Let signed-in users reach a view; `LoginManager.unauthorized` answers others.

    `LOGIN_DISABLED` in the configuration of the application lets all pass, for its tests.
    """
    return _guarded(view, fresh=False)


def fresh_login_required(view: View) -> View:
    """Let users with a fresh session reach a view.

    `LoginManager.unauthorized` answers visitors, `LoginManager.needs_refresh` other users.
    """
    return _guarded(view, fresh=True)


def _guarded(view: View, *, fresh: bool) -> View:
    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not _passes_unasked():
            if not current_user.is_authenticated:
                return manager().unauthorized()
            if fresh and not login_fresh():
                return manager().needs_refresh()
        return current_app.ensure_sync(view)(*args, **kwargs)

    return guarded


def _passes_unasked() -> bool:
    """Return whether a request needs no user: a preflight, or one for a page of the service."""
    disabled: bool = current_app.config.get("LOGIN_DISABLED", False)
    return request.method == "OPTIONS" or request.blueprint == BLUEPRINT or disabled
