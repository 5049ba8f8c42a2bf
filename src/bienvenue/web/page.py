"""Page: one path and method, what it accepts, what it returns and how it refuses.

A feature declares its pages after its operations. A page requires a signed-in user unless it says
`public`, so a page that says nothing is closed. The same declaration routes the request, checks its
input and writes the OpenAPI document.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from bienvenue.errors import Refusal
from bienvenue.web.refusals import LinkNotOpen, ReauthenticationRequired

DEVICE_LIFETIME = 400 * 86400
"""Seconds a browser keeps the cookie of a known device: as long as any browser keeps one."""

Handler = Callable[..., "Answer"]
H = TypeVar("H", bound=Handler)


class Form(BaseModel):
    """The fields a page accepts. Unknown ones are refused, and no error repeats a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Reply(BaseModel):
    """The value a page returns."""

    model_config = ConfigDict(extra="forbid", frozen=True)


#: An email as typed; the operation normalises it.
Email = Annotated[str, Field(min_length=1, json_schema_extra={"format": "email"})]
#: A password; never repeated, in no error and no page.
Password = Annotated[
    str,
    Field(min_length=1, repr=False, json_schema_extra={"format": "password", "writeOnly": True}),
]
#: The token of an emailed link; a browser keeps it in a cookie, and sends none.
LinkToken = Annotated[
    str | None,
    Field(repr=False, json_schema_extra={"format": "password", "writeOnly": True}),
]
#: A text that is not empty.
Text = Annotated[str, Field(min_length=1)]
#: Where the visitor asks to return to afterwards: a path of the site, or a URL of a listed origin.
Next = str | None


class ReturnTo(Form):
    """The query of a page that one comes to from another: the path to return to afterwards."""

    next: Next = None


@dataclass(frozen=True)
class Answer:
    """What a page function returns, for rendering as JSON, as a page or as a redirect."""

    value: Reply | None = None
    status: int = 200
    #: The template a browser sees.
    template: str | None = None
    #: Where a browser goes instead, with 303.
    redirect_to: str | None = None
    #: The secret of a new session, or False when the session of this browser ended.
    session: str | Literal[False] | None = field(default=None, repr=False)
    #: The secret of a known device.
    device: str | None = field(default=None, repr=False)
    #: Where the visitor asked to return to; where that is allowed, it replaces `redirect_to`. A
    #: browser that is shown a page instead keeps it until it has signed in.
    return_to: str | None = None
    #: The tokens of the feature's own cookies by name, or None for one that the browser deletes.
    cookies: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    #: What the user has just done, if the settings say where a browser goes after it.
    after: Literal["sign_in", "sign_out"] | None = None
    #: The language and the theme to keep in the browser.
    language: str | None = None
    theme: str | None = None
    #: The name, in `Feature.flashes`, of the message that the page after the redirect shows.
    flash: str | None = None
    #: The purpose of the emailed link that was spent; the browser deletes its token.
    spent_link: str | None = None
    #: The members of the value, where it is too large to be held whole; a list may be an iterator.
    members: Iterator[tuple[str, object]] | None = None
    #: The file name under which a browser saves the value, instead of showing a page.
    filename: str | None = None
    #: Whether the page after a form shows the value once, because it is a secret.
    once: bool = False
    #: Further headers of the response.
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProxiedRequest:
    """The request about which a proxy asks, as the proxy describes it; nothing is verified."""

    method: str
    url: str
    #: Whether the browser gets a redirect that this service answers.
    redirects: bool


@dataclass(frozen=True)
class Visitor:
    """What a browser sends beside its request; nothing here is verified."""

    #: The secret of a session that the browser sent, not looked up yet.
    session: str | None = field(repr=False)
    #: The secret of a sign-in in progress that the browser sent, not looked up yet.
    authentication: str | None = field(repr=False)
    #: The tokens of the cookies that features bring, by name.
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The tokens of the emailed links that this browser opened, by purpose.
    links: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The request about which a proxy asks, if it says so.
    proxied: ProxiedRequest | None = None

    def link_token(self, purpose: str, sent: str | None = None) -> str:
        """Return the token `sent` with the request, or else that of the link this browser opened.

        Raises LinkNotOpen when there is neither: nothing is known then of the link itself.
        """
        token = sent or self.links.get(purpose)
        if token is None:
            raise LinkNotOpen
        return token


@dataclass(frozen=True)
class Page:
    """One path and method, with its handler and its declaration."""

    method: str
    path: str
    handler: Handler
    accepts: type[Form]
    query: type[Form]
    returns: Mapping[int, type[Reply] | None]
    errors: tuple[type[Refusal], ...]
    public: bool
    #: The template of its form, which a refused browser sees again, filled in except for secrets.
    form_template: str | None
    #: Whether it answers under any host name: a load balancer asks by ip.
    any_host: bool
    #: Whether it hashes a password, and so waits for a place in the hash queue.
    hashes: bool
    #: The purpose of the emailed link that opens this page.
    link: str | None
    #: The path to which that link redirects, without its token.
    redirect_to: str
    #: Whether a browser gets JSON, too.
    json_only: bool
    #: Whether the user must have authenticated a short while ago.
    reauth: bool
    #: Paths of this page in earlier versions, which redirect here: emails name them.
    formerly: tuple[str, ...]
    #: The scope that an access token needs for it: "" for none, None if no token may have it.
    scope: str | None
    #: Which of the fields that an application declares its form has.
    custom_fields: Literal["", "all", "editable"] = ""

    @property
    def name(self) -> str:
        """The handler's name, unique in its feature."""
        return self.handler.__name__

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]

    def showable(self, values: Mapping[str, object]) -> dict[str, str]:
        """Return what the form may show again: the texts of known fields, without secrets."""
        known = self.accepts.model_fields
        return {
            name: value
            for name, value in values.items()
            if name in known and known[name].repr and isinstance(value, str)
        }

    @property
    def parameters(self) -> tuple[str, ...]:
        """The handler's parameters: form, query, me, caller, visitor, or a part of the path."""
        return tuple(inspect.signature(self.handler).parameters)


class Pages:
    """The pages of one feature, in the order of its file."""

    def __init__(self) -> None:
        """Start with no page."""
        self._pages: list[Page] = []

    def __iter__(self) -> Iterator[Page]:
        """Iterate over the pages in order."""
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
        reauth: bool = False,
        formerly: tuple[str, ...] = (),
        scope: str | None = None,
        custom_fields: Literal["", "all", "editable"] = "",
    ) -> Callable[[H], H]:
        """Declare the decorated function as the page of a route, for example `POST /users`.

        With a `link`, a `token` in the query goes into a cookie of that purpose for ten minutes,
        and the browser is redirected to `redirect_to` (by default this path), before the function
        is called. With `reauth`, a user who authenticated too long ago is refused with
        ReauthenticationRequired, and led back to the page afterwards. A request with an access
        token is refused, unless the page names the `scope` that a token needs, "" for none.
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
                    (*errors, ReauthenticationRequired) if reauth else errors,
                    public,
                    form_template,
                    any_host,
                    hashes,
                    link,
                    redirect_to or path,
                    json_only,
                    reauth,
                    formerly,
                    scope,
                    custom_fields,
                )
            )
            return handler

        return declare
