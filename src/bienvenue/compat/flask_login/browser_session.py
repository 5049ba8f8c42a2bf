"""What Flask's session keeps beside a session of the service, as long as the browser is open.

It says nothing about who is signed in. It ends with the browser, and with it ends what it keeps:
that the user has authenticated since the browser was opened, and from where.
"""

import hashlib
from typing import Any

from flask import session
from flask.sessions import NullSession

from bienvenue.authentication import Caller

_ID, _FRESH, _USER = "_id", "_fresh", "_user_id"


def origin_of(caller: Caller) -> str:
    """Return a digest of the address and the browser that a request comes from."""
    return hashlib.sha256(f"{caller.address}|{caller.agent}".encode()).hexdigest()[:32]


def note(session_uid: str, caller: Caller, *, fresh: bool) -> None:
    """Keep that a session of the service is fresh or is not, and where its request came from."""
    # Without a SECRET_KEY there is no session of Flask, and no session is fresh.
    if not _is_null():
        session[_ID] = f"{session_uid} {origin_of(caller)}"
        session[_FRESH] = fresh


def note_user(login_id: Any) -> None:
    """Keep what `get_id()` returned under Flask-Login's name, for code that reads it there."""
    if not _is_null():
        session[_USER] = login_id


def noted_origin(session_uid: str) -> str | None:
    """Return where a session came from, or None when the browser was opened since."""
    uid, _, origin = str(session.get(_ID, "")).partition(" ")
    return origin if uid == session_uid else None


def is_fresh(session_uid: str) -> bool:
    """Return whether the user has authenticated in this session since the browser was opened."""
    return noted_origin(session_uid) is not None and session.get(_FRESH) is True


def note_fresh(*, fresh: bool) -> None:
    """Keep whether the user has authenticated since the browser was opened."""
    if not _is_null():
        session[_FRESH] = fresh


def clear() -> None:
    """Forget the user."""
    for name in (_ID, _FRESH, _USER):
        if name in session:
            del session[name]


def of_test_client(session_uid: str, login_id: Any, *, fresh: bool) -> dict[str, Any]:
    """Return what Flask's session of a test client keeps; it comes from nowhere."""
    return {_ID: f"{session_uid} -", _FRESH: fresh, _USER: login_id}


def _is_null() -> bool:
    return isinstance(session._get_current_object(), NullSession)  # type: ignore[attr-defined]  # noqa: SLF001 (how a proxy gives what it stands for)
