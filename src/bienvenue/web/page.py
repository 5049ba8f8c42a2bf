"""Page: one path and method, what it takes, what it gives and how it can refuse.

A feature declares its pages below its operations. A page asks for a signed-in person unless it
says `public`, so a page somebody forgot about is closed. The same declaration routes the request,
checks its input and writes the OpenAPI document.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from bienvenue.feature import Refusal

DEVICE_LIFETIME = 400 * 86400
"""Seconds a browser keeps the cookie of a known device: as long as any browser keeps one."""

Handler = Callable[..., "Answer"]
H = TypeVar("H", bound=Handler)


class Form(BaseModel):
    """What a page takes. Unknown fields are refused, and no error repeats what was sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Reply(BaseModel):
    """What a page gives."""

    model_config = ConfigDict(extra="forbid", frozen=True)


#: An email as typed; the operation makes it plain.
Email = Annotated[str, Field(min_length=1, json_schema_extra={"format": "email"})]
#: A password; never repeated, in no error and no page.
Password = Annotated[
    str,
    Field(min_length=1, repr=False, json_schema_extra={"format": "password", "writeOnly": True}),
]
#: A text that is not empty.
Text = Annotated[str, Field(min_length=1)]
#: The path of a page of ours, where somebody wants to go on afterwards.
Next = str | None


@dataclass(frozen=True)
class Answer:
    """What a page function returns; the visitor's medium decides what becomes of it."""

    value: Reply | None = None
    status: int = 200
    #: The template a browser sees.
    template: str | None = None
    #: Where a browser goes instead, with 303.
    redirect_to: str | None = None
    #: The secret of a session that begins, or False when the one of this browser ends.
    session: str | Literal[False] | None = field(default=None, repr=False)
    #: The secret by which an account knows this browser again.
    device: str | None = field(default=None, repr=False)
    #: Where the visitor asked to go on, which comes before `redirect_to` if it is one of our pages.
    return_to: str | None = None
    #: The language and the appearance that this browser is to remember.
    language: str | None = None
    theme: str | None = None
    #: What a browser is told on the page it goes to, by the name it has in `flash.html`.
    flash: str | None = None
    #: The purpose of a letter's link whose token this browser need not keep any longer.
    spent_link: str | None = None
    #: The name under which a browser keeps the value as a file, instead of a page.
    filename: str | None = None


@dataclass(frozen=True)
class Visitor:
    """Who asks, as far as the connection tells: nothing here is proof of anything."""

    ip: str
    agent: str
    #: What the browser sent as its session; a check tells what it is worth.
    session: str | None = field(repr=False)
    #: What it sent as the secret by which accounts know it.
    device: str | None = field(repr=False)
    #: The tokens of the letters' links it opened, by purpose.
    links: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The path under which this application mounts our pages, for links in emails.
    mount: str = ""


@dataclass(frozen=True)
class Page:
    """One path and method, with its handler and everything a reader or a program may ask of it."""

    method: str
    path: str
    handler: Handler
    accepts: type[Form]
    query: type[Form]
    returns: Mapping[int, type[Reply] | None]
    errors: tuple[type[Refusal], ...]
    public: bool
    #: The template shown again, filled in but for secrets, when a browser is refused.
    form_template: str | None
    #: Whether machines may ask for it under any name, as a load balancer does by ip.
    any_host: bool
    #: Whether it hashes a password, and so waits for a place at the gate.
    hashes: bool
    #: The purpose of the letter's link that opens this page.
    link: str | None
    #: The path to which that link leads on, without the token.
    redirect_to: str
    #: Whether what it gives is for programs, so that a browser is shown the same.
    json_only: bool

    @property
    def name(self) -> str:
        """The handler's name, unique in its feature."""
        return self.handler.__name__

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]

    def showable(self, values: Mapping[str, object]) -> dict[str, str]:
        """Give what was typed, but for secrets and what is no text."""
        known = self.accepts.model_fields
        return {
            name: value
            for name, value in values.items()
            if name in known and known[name].repr and isinstance(value, str)
        }

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names the handler takes: form, query, me, visitor, or a part of the path."""
        return tuple(inspect.signature(self.handler).parameters)


class Pages:
    """The pages of one feature, in the order of its file."""

    def __init__(self) -> None:
        """Begin with none."""
        self._pages: list[Page] = []

    def __iter__(self) -> Iterator[Page]:
        """Go through them in order."""
        return iter(self._pages)

    def __call__(
        self,
        route: str,
        *,
        returns: Mapping[int, type[Reply] | None],
        accepts: type[Form] = Form,
        query: type[Form] = Form,
        errors: tuple[type[Refusal], ...] = (),
        public: bool = False,
        form_template: str | None = None,
        any_host: bool = False,
        hashes: bool = False,
        link: str | None = None,
        redirect_to: str | None = None,
        json_only: bool = False,
    ) -> Callable[[H], H]:
        """Declare the function below as the page of a route, as `POST /users`.

        With a `link`, a `token` in its query goes into a cookie of that purpose for ten minutes,
        and the browser on to `redirect_to`, or here without it, before anything else happens.
        """
        method, _, path = route.partition(" ")

        def declare(handler: H) -> H:
            self._pages.append(
                Page(
                    method,
                    path,
                    handler,
                    accepts,
                    query,
                    returns,
                    errors,
                    public,
                    form_template,
                    any_host,
                    hashes,
                    link,
                    redirect_to or path,
                    json_only,
                )
            )
            return handler

        return declare
