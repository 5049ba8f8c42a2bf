"""The door: every request of ours comes in here and leaves as a page, a redirect or JSON.

One function answers for a path, whatever the method, because a form can only POST: a form may
carry `_method` (PUT, PATCH, DELETE), honoured only with a valid form token.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from flask import Blueprint, Request, Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy
from werkzeug.routing import RequestRedirect

from bienvenue import i18n, logs, normalize, tokens, user_agent
from bienvenue.client_ip import visitor_ip
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Refusal
from bienvenue.keys import KeyRing
from bienvenue.settings import Settings
from bienvenue.web import body, cookies, crosssite, drafts, redirects, responses
from bienvenue.web.page import DEVICE_LIFETIME, Answer, Page, Visitor
from bienvenue.web.refusals import (
    MethodNotAllowed,
    NotFound,
    NotSignedIn,
    Unavailable,
    as_refusal,
)
from bienvenue.web.theme import Theme

if TYPE_CHECKING:
    from werkzeug.routing import MapAdapter

    from bienvenue.auth import Auth
    from bienvenue.features.sessions import SignedIn

__all__ = [
    "AUTH",
    "Dispatcher",
    "MethodNotAllowed",
    "NotFound",
    "NotSignedIn",
    "Unavailable",
    "as_refusal",
]

_log = logging.getLogger("bienvenue")
_TUNNELLED = {"PUT", "PATCH", "DELETE"}
#: The cookies a form token may be bound to, in order.
_BOUND = (cookies.SESSION, cookies.FORM)
#: Where the environment of a request keeps what was found out for it. It is the request's own;
#: `flask.g` is not: an application context that a host pushed outlives every request (F14).
_SIGNED_IN, _NEW_FORM = "bienvenue.signed_in", "bienvenue.new_form"


#: The Auth of the application that answers, for pages: they speak to it alone.
AUTH = cast("Auth", LocalProxy(lambda: current_app.extensions["bienvenue"].auth))


#: What any page of ours may answer besides its own refusals.
EVERYWHERE: tuple[type[Refusal], ...] = (crosssite.UnknownHost, Unavailable)


class Dispatcher:
    """One service's way in: its Auth, its settings, its keys and its pages."""

    def __init__(self, auth: "Auth", settings: Settings, keys: KeyRing) -> None:
        """Take what every page needs. Raises SettingsProblem for a logo that is none."""
        self.auth = auth
        self.settings = settings
        self.keys = keys
        self.branding = Theme(settings)
        self.pages: dict[str, dict[str, Page]] = defaultdict(dict)
        #: The purposes of the links in letters.
        self.links: set[str] = set()
        #: The paths that such a link meets: what they show tells nobody where it came from.
        self._private: set[str] = set()
        self._warned = False

    def open(self, blueprint: Blueprint, pages: Iterable[Page]) -> None:
        """Route every page; a page of the same path and method as another is a mistake."""
        for page in pages:
            if page.method in self.pages[page.path]:
                raise ValueError(f"{page.method} {page.path} is declared twice")
            self.pages[page.path][page.method] = page
            if page.link is not None:
                self.links.add(page.link)
                self._private |= {page.path, page.redirect_to}
        for path in self.pages:
            blueprint.add_url_rule(
                path,
                endpoint=path.strip("/").replace("/", "-").replace(".", "-") or "root",
                view_func=self._view(path),
                methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
                provide_automatic_options=False,
            )

    def _view(self, path: str) -> Any:
        def view(**parts: str) -> Response:
            return self.answer(self.pages[path], parts)

        return view

    def answer(self, pages: dict[str, Page], parts: dict[str, str]) -> Response:
        """Answer one request; nothing that a visitor sends leaves this function as an error."""
        with i18n.speaking(self.language().code):
            response = self._answer(pages, parts)
        if not self._private.isdisjoint(page.path for page in pages.values()):
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def _answer(self, pages: dict[str, Page], parts: dict[str, str]) -> Response:
        page: Page | None = None
        values: dict[str, Any] = {}
        try:
            if not any(page.any_host for page in pages.values()):
                crosssite.refuse_host(request, self.settings)
            if request.method == "OPTIONS":
                return responses.empty(204, Allow=MethodNotAllowed(_methods(pages)).allow)
            page, values, fits = self._find(pages)
            token = body.asked(request).get("token") if page.link else None
            if page.link and token is not None:
                return self._lead(page, token)
            return self._of(page, page.handler(**self._arguments(page, values, parts, fits)))
        except Exception as error:  # noqa: BLE001 (everything becomes a refusal)
            return self.refuse(as_refusal(error), page, values)

    def _lead(self, page: Page, token: str) -> Response:
        """Send whoever opened a letter's link on to a path without its token.

        Nothing is spent by it: what only looks at links, as a scanner of mail, changes nothing.
        """
        response = responses.as_redirect(self.here(page.redirect_to))
        cookie = cookies.link(str(page.link))
        if tokens.well_formed(token):
            cookies.write(response, cookie, token, self.settings, cookies.LINK_LIFETIME)
        else:
            # The link was cut short: that must not open the page of an older one.
            cookies.clear(response, cookie, self.settings)
        return response

    def _find(self, pages: dict[str, Page]) -> tuple[Page, dict[str, Any], bool]:
        """Read the body and name the page, seeing through `_method`; refuse other sites.

        Tell, too, whether the form fits whoever sends it: it may be older than their session.
        """
        method = "GET" if request.method == "HEAD" else request.method
        values = {} if method == "GET" else body.sent(request)
        is_form = request.mimetype == body.FORM
        token = values.pop("form_token", None) if is_form else None
        token_valid = crosssite.valid(self.keys, token, self._carried())
        links = map(cookies.link, self.links)
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

    def _arguments(
        self, page: Page, values: dict[str, Any], parts: dict[str, str], fits: bool
    ) -> dict[str, Any]:
        if not fits:
            raise crosssite.OutOfDate
        wants = page.parameters
        given: dict[str, Any] = {name: normalize.text(part, name) for name, part in parts.items()}
        me = self.signed_in() if "me" in wants or not page.public else None
        if me is None and not page.public:
            raise NotSignedIn
        given |= {
            "me": me,
            "form": body.check(page.accepts, values),
            "query": body.check(page.query, _query(page)),
            "visitor": self.visitor(),
        }
        return {name: given[name] for name in wants}

    def visitor(self) -> Visitor:
        """Say who asks, as far as the connection tells."""
        return Visitor(
            ip=self._ip(),
            agent=user_agent.plain(request.headers.get("User-Agent", "")),
            session=cookies.read(request, cookies.SESSION, self.settings),
            device=cookies.read(request, cookies.DEVICE, self.settings),
            links=self._opened(),
            mount=self.here(""),
        )

    def language(self) -> i18n.Language:
        """Give the language of whoever asks: their choice, else their browser's, else ours."""
        spoken = i18n.all_languages()
        chosen = cookies.chosen(request, cookies.LANGUAGE, self.settings)
        if chosen not in spoken:
            # In the order of their quality; whoever reads fr-CA reads fr.
            named = [tag.lower() for tag in request.accept_languages.values()]
            read = [code for tag in named for code in (tag, tag.partition("-")[0])]
            chosen = next((code for code in read if code in spoken), None)
        return i18n.of(chosen or self.settings.core.language)

    def _opened(self) -> dict[str, str]:
        found = {p: cookies.read(request, cookies.link(p), self.settings) for p in self.links}
        return {purpose: token for purpose, token in found.items() if token is not None}

    def _ip(self) -> str:
        forwarded = request.headers.get("X-Forwarded-For", "")
        if forwarded and not self.settings.trusted and not self._warned:
            self._warned = True
            _log.warning(
                "a request carries X-Forwarded-For and no proxy is trusted: if one stands in front "
                "of this service, name its network with BIENVENUE_TRUSTED_PROXIES"
            )
        return visitor_ip(request.remote_addr or "", forwarded, self.settings.trusted)

    def name_request(self) -> None:
        """Give the request its id, unless the edge did; a proxy we trust may have made it."""
        if logs.KEY not in request.environ:
            believed = self.settings.trusted.holds(request.remote_addr or "")
            given = request.headers.get(logs.HEADER) if believed else None
            request.environ[logs.KEY] = logs.name_request(given)

    @staticmethod
    def name_answer(response: Response) -> Response:
        """Write the id of the request on its answer, unless a host application cut in before it."""
        if logs.KEY in request.environ:
            response.headers[logs.HEADER] = request.environ[logs.KEY]
        return response

    def signed_in(self) -> "SignedIn | None":
        """Check the session of this request, once for each secret that it bears."""
        secret = cookies.read(request, cookies.SESSION, self.settings)
        found = request.environ.get(_SIGNED_IN)
        if found is None or found[:2] != (self, secret):
            found = (self, secret, self.auth.sessions.check(secret))
            request.environ[_SIGNED_IN] = found
        return cast("SignedIn | None", found[2])

    def _of(self, page: Page, answer: Answer) -> Response:
        # Whatever probes us asks for no page, which would ask the database who looks at it.
        to_program = page.any_host or page.json_only or answer.filename is not None
        if to_program or not responses.wants_page(request):
            response = responses.of_value(answer)
        elif answer.redirect_to is not None:
            response = responses.as_redirect(
                self._onward(answer.return_to) or self.here(answer.redirect_to)
            )
            cookies.say(response, answer.flash, self.settings)
        else:
            template, typed = answer.template or "value.html", self._typed(page)
            response = self._show(template, answer.status, value=answer.value, typed=typed)
            if typed:
                drafts.forget(request, response, self.settings)
        if answer.session:
            lifetime = self.auth.sessions.settings.session_lifetime
            cookies.write(response, cookies.SESSION, answer.session, self.settings, lifetime)
        if answer.device:
            cookies.write(response, cookies.DEVICE, answer.device, self.settings, DEVICE_LIFETIME)
        for cookie, choice in ((cookies.LANGUAGE, answer.language), (cookies.THEME, answer.theme)):
            if choice is not None:
                cookies.write(response, cookie, choice, self.settings, DEVICE_LIFETIME)
        if answer.session is False:
            cookies.clear(response, cookies.SESSION, self.settings)
            drafts.forget(request, response, self.settings)
        if answer.spent_link is not None:
            cookies.clear(response, cookies.link(answer.spent_link), self.settings)
        return response

    def _next(self, path: str | None) -> str | None:
        """Give the path where somebody wants to go on, if it is one of our pages; else None.

        A list of what there is needs no rule for what a browser makes of a spelling.
        """
        return path if path in self.pages and "GET" in self.pages[path] else None

    def _onward(self, wanted: str | None) -> str | None:
        """Give where somebody asked to go on, if they may; else None."""
        path = self._next(wanted)
        if path is not None:
            return self.here(path)
        return redirects.outside(wanted, self.settings.return_origins)

    def _typed(self, page: Page) -> dict[str, str]:
        """Give what was typed into the form of a page before its person had to sign in again."""
        if page.method != "GET":
            return {}
        return drafts.typed(request, self.keys, self.settings, page.path)

    def _keep(self, response: Response, page: Page | None, values: dict[str, Any] | None) -> None:
        """Keep what was typed, if a page of ours sent it and there is one that shows its form."""
        ours = crosssite.is_ours(request, self.settings)
        if page is not None and ours and self._next(page.path) is not None:
            drafts.keep(response, self.keys, self.settings, page.path, page.showable(values or {}))

    def refuse(
        self, refusal: Refusal, page: Page | None = None, values: dict[str, Any] | None = None
    ) -> Response:
        """Refuse in the visitor's medium; a form is shown again with what was typed in it."""
        if not responses.wants_page(request):
            response = responses.of_refusal(refusal)
        elif refusal.redirect_to is not None:
            # What a form asks of somebody is asked again on the page of the form.
            on = self._next(None if page is None else page.path)
            asked = "" if on is None else f"?{urlencode({'next': on})}"
            response = responses.as_redirect(self.here(refusal.redirect_to) + asked)
            self._keep(response, page, values)
        elif page is None or page.form_template is None or isinstance(refusal, crosssite.OutOfDate):
            response = self._show("refusal.html", refusal.status, refusal=refusal)
            self._keep(response, page, values)
        else:
            shown = page.showable(values or {})
            response = self._show(page.form_template, refusal.status, refusal=refusal, typed=shown)
        if isinstance(refusal, MethodNotAllowed):
            response.headers["Allow"] = refusal.allow
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = str(refusal.retry_after)
        for name, value in refusal.headers.items():
            response.headers[name] = value
        return response

    def _show(self, template: str, status: int, **values: Any) -> Response:
        at = request.path.removeprefix(self._prefix)
        try:
            me = self.signed_in()
        except DatabaseUnavailable:
            me = None
        spoken = self.language()
        made = responses.as_page(
            template,
            status,
            spoken,
            **{"value": None, "refusal": None, "typed": {}} | values,
            me=me,
            here=self.here,
            current_path=at,
            flash=cookies.chosen(request, cookies.FLASH, self.settings),
            # Where a form that is out of date can be had anew.
            reload_path=self._next(at),
            branding=self.branding,
            form_token=self._form_token,
            registration=self.auth.invitations.settings.registration,
            theme=cookies.chosen(request, cookies.THEME, self.settings),
            service=self.settings.core.service_name,
            password_min_length=self.auth.passwords.settings.password_min_length,
        )
        cookies.hush(request, made, self.settings)
        if origins := self.settings.return_origins:
            policy = redirects.content_policy(responses.CONTENT_POLICY, origins)
            made.headers["Content-Security-Policy"] = policy
        if _NEW_FORM in request.environ:
            cookies.write(made, cookies.FORM, request.environ[_NEW_FORM], self.settings, None)
        return made

    def here(self, path: str) -> str:
        """Give a path of ours as this application mounts it."""
        return f"{request.script_root}{self._prefix}{path}"

    @property
    def _prefix(self) -> str:
        return current_app.blueprints["bienvenue"].url_prefix or ""

    def page_of(self, router: "MapAdapter", asked: Request, sent: bytes) -> Page | None:
        """Give the page that will answer a request with this body, or None when there is none.

        The router and `_find` say the same of it later: no spelling of a path or method, and no
        field of another kind of body, makes it another page (C07). A form that `_find` refuses
        before its page is reached is taken for the page of its own method.
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
        """Name the methods that the path of a request answers."""
        adapter = cast("MapAdapter", current_app.create_url_adapter(asked))
        # Every path of the service answers OPTIONS.
        rule, _ = adapter.match(method="OPTIONS", return_rule=True)
        return _methods(self.pages[rule.rule]) if rule.rule in self.pages else rule.methods or set()

    def _carried(self) -> list[str]:
        """Give the cookie that form tokens are bound to, if there is one.

        Beside a session nothing else counts: a token from before signing in may be somebody
        else's, who planted its cookie here.
        """
        found = [cookies.read(request, name, self.settings) for name in _BOUND]
        return [cookie for cookie in found if cookie is not None][:1]

    def _form_token(self) -> str:
        """Make the form token of a page, bound to the session or else to a cookie of its own."""
        carried = self._carried()
        if not carried:
            carried = [request.environ.setdefault(_NEW_FORM, tokens.new())]
        return crosssite.form_token(self.keys, carried[0])


def _methods(pages: dict[str, Page]) -> set[str]:
    return {*pages, "HEAD"} if "GET" in pages else set(pages)


def _query(page: Page) -> dict[str, Any]:
    if request.method not in crosssite.SAFE:
        return dict(body.asked(request))
    # A link may have gathered parameters of others on its way; only ours are read.
    if not page.query.model_fields:
        return {}
    return {k: v for k, v in body.asked(request).items() if k in page.query.model_fields}
