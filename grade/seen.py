"""Writes down what is called of a learner's code, so that a verdict can say what came of it.

Cases call the code through `Watched` and `Client`. Each call is noted before it is made, with the
place in their files at which it ended; `Unmet` carries both to the verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from flask import got_request_exception

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

#: The longest text of a value that is shown, in characters.
LONGEST = 200


@dataclass(frozen=True)
class Place:
    """A line of their files; `name` is the function it stands in."""

    file: str
    line: int
    name: str = ""

    def __str__(self) -> str:
        """Say it as editors read it, in words of no language."""
        inside = f" ({self.name})" if self.name and not self.name.startswith("<") else ""
        return f"{self.file}:{self.line}{inside}"


class Unmet(AssertionError):
    """A case asked for something and got something else."""

    def __init__(self, called: str, expected: str, got: str, place: Place | None = None) -> None:
        """Take the call, what the sheet expects of it and what came, as texts."""
        super().__init__(f"{called}: expected {expected}, got {got}")
        self.called, self.expected, self.got, self.place = called, expected, got, place


class Missing(Unmet):
    """What a case asks for is not written yet."""


def text_of(value: object) -> str:
    """Write a value as a person would type it, short enough for a line."""
    if isinstance(value, BaseException):
        said = f"{type(value).__name__}: {value}".rstrip(": ")
    elif isinstance(value, type):
        said = value.__name__
    elif type(value).__name__ == "User":
        said = _user(value)
    else:
        said = repr(value)
    said = " ".join(said.split())
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


def _user(user: object) -> str:
    try:
        return f"User(id={user.id!r}, email={user.email!r})"  # type: ignore[attr-defined]  # theirs
    except Exception as error:
        return f"User ({type(error).__name__} when it is read)"


@dataclass
class Step:
    """One call, the rows of the table before and after it, and what it answered."""

    call: str
    answer: str
    before: list[dict[str, Any]] = field(default_factory=list)
    after: list[dict[str, Any]] = field(default_factory=list)


class Log:
    """What was called last, where it ended, and every step of it when `rows` is given."""

    def __init__(
        self,
        folder: Path,
        *,
        calling: Callable[[str], None] | None = None,
        rows: Callable[[], list[dict[str, Any]]] | None = None,
    ) -> None:
        """Take the folder of their files, and what is to hear of each call before it is made."""
        self.folder = folder
        self._theirs = f"{folder}{os.sep}"
        self.call = self.got = ""
        self.place: Place | None = None
        self.steps: list[Step] = []
        self._calling = calling
        self._rows = rows

    def run(self, call: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function of theirs, and remember the line at which it came back."""
        self.call, self.got, self.place = call, "", None
        if self._calling is not None:
            self._calling(call)
        before = self._rows() if self._rows else []
        outer = sys.getprofile()
        sys.setprofile(self._returned)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            sys.setprofile(outer)
            self.got = text_of(error)
            self.place = self.innermost(error) or self.place
            raise
        finally:
            sys.setprofile(outer)
            if self._rows:
                self.steps.append(Step(call, self.got, before, self._rows()))
        self.got = text_of(result)
        if self._rows:
            self.steps[-1].answer = self.got
        return result

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Run a block whose calls are forgotten again, unless one of them fails."""
        before, steps = (self.call, self.got, self.place), len(self.steps)
        yield
        self.call, self.got, self.place = before
        del self.steps[steps:]

    def _returned(self, frame: FrameType, event: str, _: object) -> None:
        # This hears of every call of every library, so it looks at the text of the path alone.
        code = frame.f_code
        if event == "return" and code.co_filename.startswith(self._theirs):
            file = code.co_filename.removeprefix(self._theirs)
            self.place = Place(file, frame.f_lineno, code.co_name)

    def innermost(self, error: BaseException) -> Place | None:
        """Return the line of theirs at which an error came up, the deepest one."""
        if isinstance(error, SyntaxError) and (error.filename or "").startswith(self._theirs):
            return Place(str(error.filename).removeprefix(self._theirs), error.lineno or 1)
        found = [
            Place(frame.filename.removeprefix(self._theirs), frame.lineno or 1, frame.name)
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith(self._theirs)
        ]
        return found[-1] if found else None


class Watched:
    """Stands for an object of theirs; its methods are called through the log."""

    def __init__(self, log: Log, name: str, inner: Any) -> None:
        """Take the object and the name it has in the text of a call."""
        self.__log, self.__name, self.__inner = log, name, inner

    def __getattr__(self, attribute: str) -> Any:
        """Give an attribute of theirs. Raises Unmet where it is missing."""
        name = f"{self.__name}.{attribute}"
        missing = object()
        found = getattr(self.__inner, attribute, missing)
        if found is missing:
            owner = type(self.__inner).__name__
            raise Missing(name, f"{owner}.{attribute}", f"{owner} has no {attribute}")
        if attribute == "_db":
            return Watched(self.__log, name, found)
        if not callable(found):
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            return self.__log.run(written(name, *args, **kwargs), found, *args, **kwargs)

        return called


def written(name: str, *args: Any, **kwargs: Any) -> str:
    """Write a call as one would type it."""
    given = [text_of(value) for value in args]
    given += [f"{key}={text_of(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(given)})"


class Client:
    """A browser or program that asks an app of theirs, with its own cookies."""

    def __init__(self, log: Log, client: FlaskClient) -> None:
        """Take Flask's test client."""
        self._log, self._client = log, client
        self.app: Flask = client.application

    def get(self, path: str) -> TestResponse:
        """Ask for a path."""
        return self.request("GET", path)

    def post(self, path: str, **form: str) -> TestResponse:
        """Send form fields."""
        return self.request("POST", path, **form)

    def put(self, path: str, **form: str) -> TestResponse:
        """Send form fields with PUT."""
        return self.request("PUT", path, **form)

    def delete(self, path: str) -> TestResponse:
        """Delete a path."""
        return self.request("DELETE", path)

    def request(self, method: str, path: str, **form: str) -> TestResponse:
        """Send one request; an exception in their code is told beside the 500 it ends in."""
        said = " ".join([method, path, *(f"{name}={value}" for name, value in form.items())])
        raised: list[BaseException] = []

        def note(_: object, exception: BaseException, **__: object) -> None:
            raised.append(exception)

        with got_request_exception.connected_to(note, self.app):
            reply: TestResponse = self._log.run(
                said, self._client.open, path, method=method, data=form or None
            )
        self._log.got = reply_text(reply)
        if raised:
            self._log.got += f" ({text_of(raised[-1])})"
            self._log.place = self._log.innermost(raised[-1]) or self._log.place
        if self._log.steps:
            self._log.steps[-1].answer = self._log.got
        return reply

    def cookie(self, name: str = "session_id") -> str | None:
        """Return the value of a cookie that it holds."""
        held = self._client.get_cookie(name)
        return None if held is None else held.value

    def set_cookie(self, value: str, name: str = "session_id") -> None:
        """Hold this cookie from here on."""
        self._client.set_cookie(name, value)


def reply_text(reply: TestResponse) -> str:
    """Say what an app answered: the status, where it leads, and JSON or the first of the text."""
    said = [str(reply.status_code)]
    if reply.location:
        said.append(f"Location: {reply.location}")
    body = reply.get_json(silent=True)
    if body is not None:
        said.append(json.dumps(body, ensure_ascii=False))
    elif reply.is_json or (reply.status_code < 300 and reply.data):
        said.append(repr(reply.text[:60]))
    return " ".join(said)


@contextlib.contextmanager
def raising(
    log: Log, kind: type[Exception], message: str | None, but_not: type[Exception] | None
) -> Iterator[None]:
    """Run the block, which is to raise this exception. Raises Unmet when it does not."""
    expected = kind.__name__ if message is None else f"{kind.__name__}: {message}"
    try:
        yield
    except Unmet:
        raise
    except Exception as error:
        right = isinstance(error, kind) and not (but_not and isinstance(error, but_not))
        if not right or (message is not None and str(error) != message):
            raise Unmet(log.call, expected, text_of(error), log.place) from error
        return
    raise Unmet(log.call, expected, log.got, log.place)
