"""forward_auth: a proxy, or an application of any framework, asks whose request it has.

`GET /verify` answers 204 with the user in headers, or 401. It is what nginx calls `auth_request`
and Caddy and Traefik call `forward_auth`; `bienvenue.client` asks it too.
"""

from collections.abc import Collection
from typing import ClassVar
from urllib.parse import urlencode

from bienvenue.authentication import Caller, Channel
from bienvenue.feature import Feature, Refusal, needs
from bienvenue.features.groups import Groups
from bienvenue.settings import Section
from bienvenue.user import FULL_ACCESS, SignedIn
from bienvenue.web import redirects
from bienvenue.web.bearer import InsufficientScope, InvalidToken, SeveralCredentials
from bienvenue.web.crosssite import SAFE
from bienvenue.web.page import Answer, Form, Pages, ProxiedRequest, Visitor
from bienvenue.web.refusals import NotSignedIn

# --- operations ---------------------------------------------------------------------------------


class ForwardAuth(Feature[Section]):
    """Who is signed in, for what stands in front of other applications."""

    name = "forward_auth"
    _groups = needs(Groups)
    pages: ClassVar[Pages] = Pages()

    def headers_of(self, me: SignedIn, wanted: Collection[str] = ()) -> dict[str, str]:
        """Return the headers that name a user: public name, email, groups, factors and scopes.

        All are ASCII. The groups are read now. An access token has one of the `wanted` scopes, or
        full access: without scopes the application would take it for a session. Raises
        InsufficientScope and DatabaseUnavailable.
        """
        scopes = {FULL_ACCESS} if me.token is None else me.token.scopes
        if scopes.isdisjoint({*wanted, FULL_ACCESS}):
            raise InsufficientScope(tuple(wanted))
        return {
            "Remote-User": me.user_uid,
            "Remote-Email": me.email,
            "Remote-Groups": ",".join(self._groups.committed(me.user_id)),
            "Remote-Amr": ",".join(me.amr.split()),
            "Remote-Scopes": ",".join(sorted(scopes)),
        }

    def sign_in_url(self, caller: Caller, proxied: ProxiedRequest | None) -> str:
        """Return the URL to which a browser goes that is not signed in.

        It comes back to the URL that it asked the proxy for, if that is of this site or of an
        origin in `return_origins`. Raises NotSignedIn for a program, and when the proxy names no
        request or cannot pass a redirect on; then Location says where to go (as Authelia does).
        """
        refusal: Refusal = NotSignedIn()
        # The browser asked another application: this site has no page to come back to.
        refusal.redirect_to = None
        if proxied is None or caller.channel is not Channel.PAGE:
            raise refusal
        settings = self._registry.settings
        url = f"{settings.base_url}{self._registry.mount}/sessions/new"
        if proxied.method in SAFE and (back := self._allowed(proxied.url)) is not None:
            url += f"?{urlencode({'next': back})}"
        if proxied.redirects:
            return url
        refusal.headers["Location"] = url
        raise refusal

    def _allowed(self, url: str) -> str | None:
        settings = self._registry.settings
        if url.startswith(f"{settings.base_url}/"):
            return redirects.to_site(url.removeprefix(settings.base_url))
        return redirects.to_origin(url, settings.return_origins)


# --- pages --------------------------------------------------------------------------------------

page = ForwardAuth.pages


class Scopes(Form):
    """The scopes, separated by spaces, of which an access token needs one; a session needs none."""

    scope: str = ""


@page(
    "GET /verify",
    query=Scopes,
    returns={204: None, 303: None},
    errors=(NotSignedIn, InvalidToken, SeveralCredentials, InsufficientScope),
    public=True,
    scope="",
    any_host=True,
    json_only=True,
)
def verify(query: Scopes, me: SignedIn | None, caller: Caller, visitor: Visitor) -> Answer:
    """Tell a proxy whose request it has, in headers."""
    if me is None:
        url = ForwardAuth.current().sign_in_url(caller, visitor.proxied)
        return Answer(status=303, headers={"Location": url})
    return Answer(status=204, headers=ForwardAuth.current().headers_of(me, query.scope.split()))
