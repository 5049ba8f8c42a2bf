"""Dispatch: each request reaches its page here, and the page's answer becomes a response.

One function answers for a path, whatever the method, because a form can only POST: a form may
hold `_method` (PUT, PATCH, DELETE), honoured only with a valid form token.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, cast

from flask import Blueprint, Request, Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from bienvenue import i18n, logs, normalize, tokens
from bienvenue.authentication import Caller, Channel
from bienvenue.errors import Refusal
from bienvenue.key_ring import KeyRing
from bienvenue.settings import Settings
from bienvenue.user import SignedIn
from bienvenue.web import bearer, body, cookies, crosssite, form_drafts, redirects, responses
from bienvenue.web.cors import Cors
from bienvenue.web.identity import Identifier, Identifiers, RequestIdentity
from bienvenue.web.page import Page
from bienvenue.web.refusals import (
    MethodNotAllowed,
    NotFound,
    NotReady,
    NotSignedIn,
    Unavailable,
    as_refusal,
)
from bienvenue.web.rendering import Rendering

if TYPE_CHECKING:
    from werkzeug.routing import MapAdapter


__all__ = [
    "Dispatcher",
    "MethodNotAllowed",
    "NotFound",
    "NotReady",
    "NotSignedIn",
    "Unavailable",
    "as_refusal",
]

_TUNNELLED = {"PUT", "PATCH", "DELETE"}

#: The refusals of every page, beside its own.
EVERYWHERE: tuple[type[Refusal], ...] = (crosssite.UnknownHost, Unavailable)


class Service(Protocol):
    """What the pages need of the service behind them: `Auth` has it."""

    @property
    def identifiers(self) -> Iterable[Identifier]:
        """The ways to know who sends a request, in their order."""

    @property
    def cookies(self) -> Mapping[str, int]:
        """The cookies that features bring, with their lifetimes in seconds."""

    def context(self) -> Mapping[str, Any]:
        """Return what every template may show."""

    def require_fresh(self, me: SignedIn) -> None:
        """Raise ReauthenticationRequired when a user authenticated too long ago."""

    def as_current(self) -> AbstractContextManager[None]:
        """Let page functions find the features of this service while the block runs."""


#: Where the environment of a request keeps the id of the request in whose view it was made.
_ENCLOSING = "bienvenue.enclosing_request_id"


class Dispatcher:
    """The pages of one service, and what they share: its Auth, settings, keys and identifiers."""

    def __init__(self, auth: Service, settings: Settings, keys: KeyRing) -> None:
        """Take what every page needs. Raises SettingsProblem for a logo that cannot be read."""
        self._backend = auth
        #: The Auth of the application, for code that has the dispatcher.
        self.auth: Any = auth
        self.settings = settings
        self.keys = keys
        self.hosts = crosssite.Hosts(settings)
        self.cors = Cors(settings.cors_origins)
        self.pages: dict[str, dict[str, Page]] = defaultdict(dict)
        #: The purposes of emailed links.
        self.links: set[str] = set()
        self.identifiers = Identifiers(*auth.identifiers)
        self.identity: RequestIdentity = RequestIdentity(
            self.identifiers, settings, self.links, auth.cookies
        )
        #: Whether the database can be asked yet.
        self.readiness = self.identifiers.readiness
        self.rendering = Rendering(auth.context, settings, keys, self.identity, self.pages)
        #: The OpenAPI document, once it was asked for; it never changes.
        self.document: dict[str, Any] | None = None
        #: The paths of emailed links: other sites must not learn of them from a referrer.
        self._private: set[str] = set()
        #: Where the page of a former path is now.
        self._moved: dict[str, str] = {}

    def open(self, blueprint: Blueprint, pages: Iterable[Page]) -> None:
        """Route every page. Raises ValueError for two pages of the same path and method."""
        for page in pages:
            self._add(page)
            for path in page.formerly:
                self._add(dataclasses.replace(page, path=path))
                self._moved[path] = page.path
        for path in self.pages:
            blueprint.add_url_rule(
                path,
                endpoint=path.strip("/").replace("/", "-").replace(".", "-") or "index",
                view_func=self._view(path),
                methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
                provide_automatic_options=False,
            )

    def _add(self, page: Page) -> None:
        if page.method in self.pages[page.path]:
            raise ValueError(f"{page.method} {page.path} is declared twice")
        self.pages[page.path][page.method] = page
        if page.link is not None:
            self.links.add(page.link)
            self._private |= {page.path, page.redirect_to}

    def _view(self, path: str) -> Any:
        def view(**parts: str) -> Response:
            return self.answer(self.pages[path], parts)

        return view

    def answer(self, pages: dict[str, Page], parts: dict[str, str]) -> Response:
        """Answer one request; any error becomes a refusal."""
        with i18n.speaking(self.identity.language().code):
            response = self._answer(pages, parts)
        self.cors.mark(request, response, pages)
        if not self._private.isdisjoint(page.path for page in pages.values()):
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def _answer(self, pages: dict[str, Page], parts: dict[str, str]) -> Response:
        page: Page | None = None
        values: dict[str, Any] = {}
        try:
            if not any(page.any_host for page in pages.values()):
                self.hosts.refuse(request)
                self.readiness.require()
            if request.method == "OPTIONS":
                return responses.empty(204, Allow=MethodNotAllowed(_methods(pages)).allow)
            page, values, fits = self._find(pages)
            token = body.link_values(request, {"token"}).get("token") if page.link else None
            if token is not None:
                return self._follow_link(page, token)
            if page.path in self._moved:
                return responses.as_redirect(redirects.mounted(self._moved[page.path]))
            with self._backend.as_current():
                answer = page.handler(**self._arguments(page, values, parts, fits))
            return self.rendering.answer(page, answer)
        except Exception as error:  # noqa: BLE001 (everything becomes a refusal)
            return self.rendering.refusal(as_refusal(error), page, values)

    def _follow_link(self, page: Page, token: str) -> Response:
        """Redirect the browser of an emailed link to its page, with the token in a cookie.

        It spends nothing: a mail scanner that only opens links changes nothing.
        """
        response = responses.as_redirect(redirects.mounted(page.redirect_to))
        cookie = cookies.link(str(page.link))
        # Some programs still separate parameters by a semicolon (HTML 4.01, B.2.2).
        token = token.partition(";")[0]
        if tokens.well_formed(token):
            cookies.write(response, cookie, token, self.settings, cookies.LINK_LIFETIME)
        else:
            # The link was cut short: that must not open the page of an older one.
            cookies.clear(response, cookie, self.settings)
        return response

    def _find(self, pages: dict[str, Page]) -> tuple[Page, dict[str, Any], bool]:
        """Return the page and the values of the body, seeing through `_method`.

        The third value tells whether the form belongs to the session that sends it: it may be
        older. Raises CrossSite, MethodNotAllowed and the refusals of a body.
        """
        method = "GET" if request.method == "HEAD" else request.method
        values = {} if method == "GET" else body.sent(request)
        is_form = request.mimetype == body.FORM
        token = values.pop("form_token", None) if is_form else None
        request.environ[form_drafts.OWNER] = crosssite.owner_of(token)
        bound = crosssite.bound_cookies(request, self.settings)
        token_valid = crosssite.valid(self.keys, token, bound)
        links = map(cookies.link, self.links)
        # Only a program sends an access token, and the token is no cookie that another site lends.
        if not self._has_token_for(pages.get(method)):
            crosssite.refuse(request, self.settings, links, token_valid=token_valid)
        wanted = values.pop(body.METHOD, None) if is_form and method == "POST" else None
        fits = wanted is None or token_valid
        if wanted is not None:
            if wanted not in _TUNNELLED or not (fits or crosssite.is_ours(request, self.settings)):
                raise crosssite.CrossSite
            method = wanted
        if method not in pages:
            raise MethodNotAllowed(_methods(pages))
        return pages[method], values, fits

    def _has_token_for(self, page: Page | None) -> bool:
        """Tell whether a request that changes something bears a live token that the page takes."""
        if page is None or page.scope is None or request.method in crosssite.SAFE:
            return False
        me = self.identity.signed_in()
        return me is not None and me.token is not None

    def _arguments(
        self, page: Page, values: dict[str, Any], parts: dict[str, str], fits: bool
    ) -> dict[str, Any]:
        if not fits:
            raise crosssite.OutOfDate
        names = page.parameters
        given: dict[str, Any] = {name: normalize.text(part, name) for name, part in parts.items()}
        me = self._user_of(page)
        given |= {
            "me": me,
            "form": body.check(page.accepts, values),
            "query": body.check(page.query, _query(page)),
            "visitor": self.identity.visitor() if "visitor" in names else None,
            "caller": self._caller(me) if "caller" in names else None,
        }
        return {name: given[name] for name in names}

    def _user_of(self, page: Page) -> SignedIn | None:
        """Return who asks for a page; None on a public one if no user is signed in.

        Raises NotSignedIn, ReauthenticationRequired and the refusals of access tokens.
        """
        if page.public:
            me = self.identity.signed_in() if "me" in page.parameters else None
            if me is None and page.scope is not None:
                # Where a token is taken, one that opens nothing is said to.
                bearer.refuse_token(self.identity.refusal())
            # On a public page a token is no one, unless the page takes tokens.
            return None if me is not None and me.token is not None and page.scope is None else me
        me = self.identity.require()
        bearer.require_for_page(me, page.scope)
        if page.reauth:
            self._backend.require_fresh(me)
        return me

    def _caller(self, me: SignedIn | None) -> Caller:
        channel = Channel.PAGE if responses.wants_page(request) else Channel.API
        return self.identity.caller(me, channel)

    def name_request(self) -> None:
        """Give the request its id, unless the edge did; a trusted proxy may have made it."""
        if logs.KEY not in request.environ:
            believed = self.settings.trusted.holds(request.remote_addr or "")
            given = request.headers.get(logs.HEADER) if believed else None
            # A view of a host application may answer by a request of its own to the same process.
            request.environ[_ENCLOSING] = logs.request_id()
            request.environ[logs.KEY] = logs.name_request(given)

    @staticmethod
    def end_request() -> None:
        """Let later records of this thread belong to the enclosing request, if there is one."""
        logs.end_request(request.environ.get(_ENCLOSING, ""))

    @staticmethod
    def name_answer(response: Response) -> Response:
        """Write the id of the request on its answer, unless a host application answered first."""
        if logs.KEY in request.environ:
            response.headers[logs.HEADER] = request.environ[logs.KEY]
        return response

    def page_of(self, router: "MapAdapter", asked: Request, sent: bytes) -> Page | None:
        """Return the page that will answer a request with this body, or None when there is none.

        The router and `_find` decide the same later: no spelling of a path or method, and no field
        of another kind of body, makes it another page (C07). A form that `_find` refuses counts for
        the page of its own method.
        """
        if asked.method in crosssite.SAFE:
            # They change nothing, so no page of theirs hashes.
            return None
        try:
            # Every path of the service answers every method.
            rule, _ = router.match(asked.path, method="OPTIONS", return_rule=True)
        except (HTTPException, RequestRedirect):
            return None
        pages, method = self.pages.get(rule.rule, {}), asked.method
        if method == "POST" and asked.mimetype == body.FORM:
            method = body.tunnelled(sent) or method
        return pages.get(method)

    def methods_of(self, asked: Request) -> set[str]:
        """Return the methods that the path of a request answers."""
        adapter = cast("MapAdapter", current_app.create_url_adapter(asked))
        # Every path of the service answers OPTIONS.
        rule, _ = adapter.match(method="OPTIONS", return_rule=True)
        return _methods(self.pages[rule.rule]) if rule.rule in self.pages else rule.methods or set()


def _methods(pages: dict[str, Page]) -> set[str]:
    return {*pages, "HEAD"} if "GET" in pages else set(pages)


def _query(page: Page) -> dict[str, Any]:
    if request.method not in crosssite.SAFE:
        return dict(body.query_values(request))
    return dict(body.link_values(request, page.query.model_fields.keys()))
