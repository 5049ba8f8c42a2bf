"""Rendering: an answer or a refusal becomes a page, a redirect or JSON, as the visitor asks.

A browser, which names `text/html` in Accept, gets a page or a redirect; a program gets JSON.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from bienvenue import clock, tokens
from bienvenue.db import DatabaseUnavailable
from bienvenue.errors import Refusal
from bienvenue.key_ring import KeyRing
from bienvenue.settings import Settings
from bienvenue.user import SignedIn
from bienvenue.web import cookies, crosssite, form_drafts, outcomes, redirects, responses
from bienvenue.web.branding import Branding
from bienvenue.web.identity import RequestIdentity
from bienvenue.web.page import DEVICE_LIFETIME, Answer, Page
from bienvenue.web.refusals import MethodNotAllowed

#: Where the environment of a request keeps the new cookie for its form tokens.
_NEW_FORM = "bienvenue.new_form"

Routes = Mapping[str, Mapping[str, Page]]
"""Pages by path and method."""


class Rendering:
    """Writes the responses of one service."""

    def __init__(
        self,
        context: Callable[[], Mapping[str, Any]],
        settings: Settings,
        keys: KeyRing,
        identity: RequestIdentity,
        routes: Routes,
    ) -> None:
        """Take what templates show, and the routes as they grow. Raises SettingsProblem."""
        self.branding = Branding(settings)
        self._context = context
        self._settings = settings
        self._keys = keys
        self._identity = identity
        self._routes = routes

    def answer(self, page: Page, answer: Answer) -> Response:
        """Return the response to a visitor, with the cookies that the answer sets."""
        kept: tuple[str, str] | None = None
        is_file = page.json_only or answer.filename is not None
        if is_file or not responses.wants_page(request):
            response = responses.of_value(answer)
        elif page.any_host:
            # A probe asks no database who is signed in, as the layout of a page does.
            templates, language = self.branding.templates, self._identity.language()
            name = self._settings.core.service_name
            response = responses.as_page(
                templates, "health.html", answer.status, language, service=name
            )
        elif answer.redirect_to is not None:
            response = responses.as_redirect(self._target(answer, answer.redirect_to))
            cookies.set_flash(response, answer.flash, self._settings)
        elif (kept := self._outcome(page, answer)) is not None:
            path, cookie = kept
            response = responses.as_redirect(redirects.mounted(path))
            cookies.write(response, cookies.OUTCOME, cookie, self._settings, outcomes.LIFETIME)
        else:
            template, typed = answer.template or "value.html", self._draft(page)
            # The session that sent the form may have ended with it.
            over = {"me": None} if answer.session is False else {}
            response = self.template(
                template, answer.status, value=answer.value, typed=typed, **over
            )
            if typed:
                form_drafts.discard(request, response, self._settings)
            if wanted := self._return_path(answer.return_to):
                cookies.set_return(response, wanted, self._settings)
        if answer.after is not None:
            cookies.clear_return(request, response, self._settings)
        if (answer.session is not None or answer.once) and kept is None:
            outcomes.discard(request, response, self._settings)
        self._set_cookies(response, answer)
        response.headers.update(answer.headers)
        return response

    def _outcome(self, page: Page, answer: Answer) -> tuple[str, str] | None:
        """Return path and cookie of the page after a form, for a browser that keeps cookies.

        It sends one that it got with the form. To another the answer itself is shown.
        """
        links = map(cookies.link, self._identity.links)
        if page.method in crosssite.SAFE or not cookies.bears_any(request, self._settings, links):
            return None
        return outcomes.kept(self._keys, answer)

    def _set_cookies(self, response: Response, answer: Answer) -> None:
        settings = self._settings
        if answer.session:
            self.set_session(response, answer.session)
            if cookies.read(request, cookies.AUTHENTICATION, settings) is not None:
                cookies.clear(response, cookies.AUTHENTICATION, settings)
        for cookie, token in answer.cookies.items():
            if token is None:
                cookies.clear(response, cookie, settings)
            else:
                cookies.write(response, cookie, token, settings, self._identity.brought[cookie])
        if answer.device:
            cookies.write(response, cookies.DEVICE, answer.device, settings, DEVICE_LIFETIME)
        for cookie, choice in ((cookies.LANGUAGE, answer.language), (cookies.THEME, answer.theme)):
            if choice is not None:
                cookies.write(response, cookie, choice, settings, DEVICE_LIFETIME)
        if answer.session is False:
            cookies.clear(response, cookies.SESSION, settings)
            form_drafts.discard(request, response, settings)
        if answer.spent_link is not None:
            cookies.clear(response, cookies.link(answer.spent_link), settings)

    def set_session(self, response: Response, secret: str) -> None:
        """Set the cookie of a session, for as long as that lives or until the browser closes."""
        try:
            me = self._identity.of_session(secret)
        except DatabaseUnavailable:
            me = None
        if me is None:
            lifetime: int | None = self._context()["session_lifetime"]
        else:
            # In whole seconds, and not too few: the database says when it ends.
            lifetime = math.ceil(me.expires_at - clock.now()) if me.remembered else None
        cookies.write(response, cookies.SESSION, secret, self._settings, lifetime)

    def refusal(
        self,
        refusal: Refusal,
        page: Page | None = None,
        values: dict[str, Any] | None = None,
        return_to: str | None = None,
    ) -> Response:
        """Return the response to a refused request.

        A browser sees the form again, with the `values` it sent except secrets; or a page of its
        own; or a redirect to the page on which it does first what is missing. From there it comes
        back to the form, or for a view of a host application to the path `return_to` of the site.
        """
        if not responses.wants_page(request):
            response = responses.of_refusal(refusal)
        elif refusal.redirect_to is not None:
            # The page of the form is where to return to.
            going_on = refusal.authentication is not None
            own = None if page is None else self._page_path(page.path)
            on = return_to if own is None else redirects.on_site(own, self._settings)
            on = None if going_on else on
            query = "" if on is None else f"?{urlencode({'next': on})}"
            response = responses.as_redirect(redirects.mounted(refusal.redirect_to) + query)
            self._keep_draft(response, page, values)
        elif page is None or page.form_template is None or isinstance(refusal, crosssite.OutOfDate):
            response = self.template("refusal.html", refusal.status, refusal=refusal)
            self._keep_draft(response, page, values)
        else:
            typed = page.showable(values or {})
            template = page.form_template
            response = self.template(template, refusal.status, refusal=refusal, typed=typed)
        if isinstance(refusal, MethodNotAllowed):
            response.headers["Allow"] = refusal.allow
        if refusal.authentication is not None:
            secret, lifetime = refusal.authentication, cookies.AUTHENTICATION_LIFETIME
            cookies.write(response, cookies.AUTHENTICATION, secret, self._settings, lifetime)
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = str(refusal.retry_after)
        for name, value in refusal.headers.items():
            response.headers[name] = value
        return response

    def template(self, template: str, status: int, **values: Any) -> Response:
        """Return a page made of a template, with what every template may show."""
        prefix = redirects.prefix()
        # A host application may have a path that is one of ours without the prefix.
        path = request.path.removeprefix(prefix) if request.path.startswith(f"{prefix}/") else ""
        own = self._page_path(path)
        response = responses.as_page(
            self.branding.templates,
            template,
            status,
            self._identity.language(),
            **{"value": None, "refusal": None, "typed": {}, "me": self._me()}
            | dict(self._context())
            | values,
            here=redirects.mounted,
            current_path=path,
            flash=cookies.chosen(request, cookies.FLASH, self._settings),
            # Where a browser gets a form again that is out of date.
            reload_path=own,
            return_to=None if own is None else redirects.on_site(own, self._settings),
            branding=self.branding,
            form_token=self.form_token,
            support=self._settings.core.support_link,
            theme=cookies.chosen(request, cookies.THEME, self._settings),
            service=self._settings.core.service_name,
        )
        cookies.clear_flash(request, response, self._settings)
        if origins := self._settings.return_origins:
            policy = redirects.content_policy(responses.CONTENT_POLICY, origins)
            response.headers["Content-Security-Policy"] = policy
        return self.with_form(response)

    def with_form(self, response: Response) -> Response:
        """Let the browser keep the secret that the form tokens of this request are bound to."""
        new = request.environ.get(_NEW_FORM)
        if new is not None:
            cookies.write(response, cookies.FORM, new, self._settings, None)
        return response

    def _page_path(self, path: str | None) -> str | None:
        """Return a path if a page of ours has it, whatever a browser makes of it; else None.

        The path of a page with a part that varies names no page.
        """
        if path is None or "<" in path or "GET" not in self._routes.get(path, {}):
            return None
        return path

    def _target(self, answer: Answer, redirect_to: str) -> str:
        """Return where a browser goes after an answer: where it wanted, if that is allowed."""
        signed_in = answer.after == "sign_in"
        wanted = self.wanted(answer.return_to) if signed_in else self._return_path(answer.return_to)
        if wanted is None and answer.after is not None:
            wanted = self._settings.after(answer.after)
        return wanted or redirects.mounted(redirect_to)

    def wanted(self, asked: str | None) -> str | None:
        """Return the page that a browser wanted before it had to sign in, if that is allowed.

        It is the one `asked` for now, or else the one that the browser keeps in a cookie.
        """
        kept = cookies.wanted_return(request, self._settings)
        return self._return_path(asked) or self._return_path(kept)

    def _return_path(self, wanted: str | None) -> str | None:
        """Return where a visitor asked to return to, if that is allowed; else None."""
        path = redirects.to_site(wanted)
        if path is None:
            return redirects.to_origin(wanted, self._settings.return_origins)
        own = redirects.ours(path, self._settings)
        if own is not None and self._page_path(own[0]) is not None:
            return redirects.mounted("".join(own))
        return path

    def _draft(self, page: Page) -> dict[str, str]:
        """Return the draft that a browser keeps for the form of a page."""
        if page.method != "GET":
            return {}
        if cookies.name_of(cookies.DRAFT, self._settings) not in request.cookies:
            return {}
        return form_drafts.typed(request, self._keys, self._settings, page.path, self._user_uid())

    def _keep_draft(
        self, response: Response, page: Page | None, values: dict[str, Any] | None
    ) -> None:
        """Keep what was typed, if a page of ours sent it and a page shows the form again."""
        ours = crosssite.is_ours(request, self._settings)
        if page is not None and ours and self._page_path(page.path) is not None:
            typed = page.showable(values or {})
            form_drafts.keep(
                request, response, self._keys, self._settings, path=page.path, typed=typed
            )

    def form_token(self) -> str:
        """Return the form token of a page, bound to the session or else to a cookie of forms."""
        bound = crosssite.bound_cookies(request, self._settings)
        if not bound:
            bound = [request.environ.setdefault(_NEW_FORM, tokens.new())]
        owner = form_drafts.owner(self._keys, self._user_uid())
        return crosssite.form_token(self._keys, bound[0], owner)

    def _user_uid(self) -> str | None:
        """Return the uid of who is signed in, or None, without the database too."""
        me = self._me()
        return None if me is None else me.user_uid

    def _me(self) -> SignedIn | None:
        """Return who is signed in, or None, without the database too."""
        try:
            return self._identity.signed_in()
        except DatabaseUnavailable:
            return None
