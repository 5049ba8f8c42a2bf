"""Identity: who sends a request, by the credentials it bears and by its connection.

An identifier reads one kind of credential and looks it up. The dispatcher and the edge share one
ordered list of identifiers, so that both answer alike: the session cookie, then the access token.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast

from flask import request

from bienvenue import claim, clock, i18n, token_format, user_agent
from bienvenue.authentication import Caller, Channel
from bienvenue.client_ip import visitor_ip
from bienvenue.errors import Refusal
from bienvenue.settings import Settings
from bienvenue.user import SignedIn
from bienvenue.web import bearer, cookies
from bienvenue.web.page import ProxiedRequest, Visitor
from bienvenue.web.readiness import Readiness
from bienvenue.web.refusals import NotSignedIn

_log = logging.getLogger("bienvenue")

#: Where the environment of a request keeps the identity found for it. `flask.g` would not do: an
#: application context that a host application pushed outlives every request (F14).
_IDENTITY = "bienvenue.identity"
#: The same for a user whom a view of a host application signed in or out.
_BECAME = "bienvenue.became"


#: Seconds between two notes of a process that requests arrive under another path than the mount.
_NOTED_EVERY = 3600.0


class Identifying(Protocol):
    """Looks a credential up, and records its use."""

    def look_up(self, credential: str) -> SignedIn | None:
        """Return whose credential it is, or None; write nothing. Raises DatabaseUnavailable.

        It may raise a Refusal that says more than NotSignedIn does.
        """

    def touch_is_due(self, me: SignedIn) -> bool:
        """Tell whether the use of the credential is to be recorded again."""

    def touch(self, me: SignedIn) -> None:
        """Record that the credential was used."""


class CredentialHeaders(NamedTuple):
    """The headers in which a request bears credentials, "" for one that it does not have."""

    cookie: str
    authorization: str

    def __repr__(self) -> str:
        """Show neither."""
        return "<CredentialHeaders>"


class Identifier(Identifying, Protocol):
    """One way to know who sends a request."""

    def credential(self, headers: CredentialHeaders) -> str | None:
        """Return the credential of this kind that a request bears, or None.

        Raises a Refusal for a request that bears credentials that do not go together.
        """


class SessionCookie:
    """Knows a browser, or a program, by the session in its cookie."""

    def __init__(self, sessions: Identifying, settings: Settings) -> None:
        """Take the sessions, and the settings that name the cookie."""
        self._name = cookies.name_of(cookies.SESSION, settings)
        self._sessions = sessions

    def credential(self, headers: CredentialHeaders) -> str | None:
        """Return the session's secret that a Cookie header bears, or None."""
        return cookies.token_in(headers.cookie, self._name)

    def look_up(self, credential: str) -> SignedIn | None:
        """Return who is signed in by this secret, or None."""
        return self._sessions.look_up(credential)

    def touch_is_due(self, me: SignedIn) -> bool:
        """Tell whether the session's last use is to be recorded again."""
        return self._sessions.touch_is_due(me)

    def touch(self, me: SignedIn) -> None:
        """Record the session's last use, unless the database takes no writes now."""
        self._sessions.touch(me)


class BearerToken:
    """Knows a program by the access token that it sends."""

    def __init__(self, access_tokens: Identifying, settings: Settings) -> None:
        """Take the access tokens, and the settings that name the cookie of sessions."""
        self._access_tokens = access_tokens
        self._cookie = cookies.name_of(cookies.SESSION, settings)

    def credential(self, headers: CredentialHeaders) -> str | None:
        """Return what an Authorization header bears as a token, well-formed or not, or None.

        Raises SeveralCredentials, for a session beside it too.
        """
        if not headers.authorization:
            return None
        token = bearer.token_in(headers.authorization)
        if token is not None and cookies.token_in(headers.cookie, self._cookie) is not None:
            raise bearer.SeveralCredentials
        return token

    def look_up(self, credential: str) -> SignedIn | None:
        """Return who acts by this token. Raises InvalidToken and DatabaseUnavailable."""
        # A text that is no token costs a checksum, and no statement.
        known = token_format.well_formed(credential)
        me = self._access_tokens.look_up(credential) if known else None
        if me is None:
            raise bearer.InvalidToken
        return me

    def touch_is_due(self, me: SignedIn) -> bool:
        """Tell whether the token's last use is to be recorded again."""
        return self._access_tokens.touch_is_due(me)

    def touch(self, me: SignedIn) -> None:
        """Record the token's last use, unless the database takes no writes now."""
        self._access_tokens.touch(me)


@dataclass(frozen=True)
class Identity:
    """Who a request acts for, and the identifier that knew them."""

    me: SignedIn
    identifier: Identifier = field(repr=False)

    def touch_is_due(self) -> bool:
        """Tell whether the use of the credential is to be recorded again."""
        return self.identifier.touch_is_due(self.me)

    def touch(self) -> None:
        """Record that the credential was used."""
        self.identifier.touch(self.me)


@dataclass(frozen=True)
class Credential:
    """What a request bears to be known by, not looked up yet."""

    identifier: Identifier
    secret: str = field(repr=False)

    def look_up(self) -> Identity | None:
        """Return the identity of the credential, or None. Raises DatabaseUnavailable.

        Raises InvalidToken for an access token that opens nothing.
        """
        me = self.identifier.look_up(self.secret)
        return None if me is None else Identity(me, self.identifier)


class Identifiers:
    """The identifiers of one service, in order."""

    def __init__(self, *ordered: Identifier) -> None:
        """Take the identifiers; the first whose credential a request bears decides."""
        self._ordered = ordered
        #: Whether the database can be asked yet.
        self.readiness = Readiness()

    def credential(self, headers: CredentialHeaders) -> Credential | None:
        """Return the credential that decides for a request, or None when it bears none.

        Every identifier is asked: one may refuse a credential beside its own. Raises
        SeveralCredentials.
        """
        found: Credential | None = None
        for identifier in self._ordered:
            secret = identifier.credential(headers)
            if secret is not None and found is None:
                found = Credential(identifier, secret)
        return found

    def identify(self, credential: Credential | None) -> Identity | None:
        """Return the identity of a credential, and record its use when that is due."""
        if credential is None:
            return None
        self.readiness.require()
        identity = credential.look_up()
        if identity is not None and identity.touch_is_due():
            identity.touch()
        return identity


class _Found(NamedTuple):
    """What was found for a request, and for which headers and service."""

    identifiers: Identifiers
    headers: CredentialHeaders
    identity: Identity | None
    #: What is wrong with the access token, if that is why there is no identity.
    refusal: Refusal | None


class RequestIdentity:
    """Who sends the request that Flask answers."""

    def __init__(
        self,
        identifiers: Identifiers,
        settings: Settings,
        links: Iterable[str],
        brought: Mapping[str, int],
    ) -> None:
        """Take the identifiers, the settings, and the purposes of emailed links as they grow.

        `brought` are the cookies of features, with their lifetimes in seconds.
        """
        self._identifiers = identifiers
        self._settings = settings
        #: The purposes of emailed links.
        self.links = links
        self.brought = brought
        self._warned = False
        #: When a mount that is not ours was noted last.
        self._mount_noted: float | None = None

    def signed_in(self) -> SignedIn | None:
        """Return who is signed in, looked up once for the credentials that the request bears.

        None too for an access token that opens nothing. Raises DatabaseUnavailable.
        """
        became = self._became()
        if became is not None:
            return became[1]
        identity = self._find().identity
        return None if identity is None else identity.me

    def require(self) -> SignedIn:
        """Return who is signed in. Raises NotSignedIn, or the refusal of the access token.

        Raises DatabaseUnavailable.
        """
        me = self.signed_in()
        if me is None:
            raise self.refusal()
        return me

    def refusal(self) -> Refusal:
        """Return why no user is signed in: NotSignedIn, or what is wrong with the access token."""
        found = None if self._became() is not None else self._find().refusal
        return found or NotSignedIn()

    def _became(self) -> tuple[Identifiers, SignedIn | None] | None:
        sent = request.environ
        became = cast("tuple[Identifiers, SignedIn | None] | None", sent.get(_BECAME))
        # An application may hand its request on to another one, which has other users.
        return became if became is not None and became[0] is self._identifiers else None

    def _find(self) -> _Found:
        sent = request.environ
        headers = CredentialHeaders(sent.get("HTTP_COOKIE", ""), sent.get("HTTP_AUTHORIZATION", ""))
        found = cast("_Found | None", sent.get(_IDENTITY))
        if found is None or found[:2] != (self._identifiers, headers):
            identity, refusal = None, None
            try:
                identity = self._identifiers.identify(self._identifiers.credential(headers))
            except bearer.BearerRefusal as error:
                refusal = error
            found = sent[_IDENTITY] = _Found(self._identifiers, headers, identity, refusal)
        return found

    def of_session(self, secret: str) -> SignedIn | None:
        """Return the user of a session's secret, or None. Raises DatabaseUnavailable."""
        cookie = f"{cookies.name_of(cookies.SESSION, self._settings)}={secret}"
        credential = self._identifiers.credential(CredentialHeaders(cookie, ""))
        identity = None if credential is None else credential.look_up()
        return None if identity is None else identity.me

    def become(self, me: SignedIn | None) -> None:
        """Let the rest of this request be of a user who has just signed in, or of a visitor."""
        request.environ[_BECAME] = (self._identifiers, me)

    def visitor(self) -> Visitor:
        """Return what the cookies of a browser name; nothing is looked up."""
        return Visitor(
            session=cookies.read(request, cookies.SESSION, self._settings),
            authentication=cookies.read(request, cookies.AUTHENTICATION, self._settings),
            cookies=self._brought(),
            links=self._opened_links(),
            proxied=_proxied(),
        )

    def caller(self, me: SignedIn | None, channel: Channel) -> Caller:
        """Return who asks for an operation by this request; `me` is who is signed in."""
        mount = request.environ.get("SCRIPT_NAME", "")
        if mount != self._settings.core.mount:
            self._note_mount(mount)
        return Caller(
            "visitor" if me is None else f"user {me.user_id}",
            channel,
            ip=self._ip(),
            agent=user_agent.plain(request.headers.get("User-Agent", "")),
            device=cookies.read(request, cookies.DEVICE, self._settings),
        )

    def _note_mount(self, mount: str) -> None:
        """Tell the operator, by the log once and by the check-up, that a mount is not ours."""
        if self._mount_noted is None:
            _log.warning(
                "a request arrived under another path than BIENVENUE_MOUNT names: links in emails "
                "lead to the path of the setting"
            )
        now = clock.now()
        if self._mount_noted is None or now - self._mount_noted >= _NOTED_EVERY:
            self._mount_noted = now
            claim.note_arrival(self._settings, mount)

    def language(self) -> i18n.Language:
        """Return the language of an answer: the one chosen, else the browser's, else ours."""
        spoken = i18n.all_languages()
        chosen = cookies.chosen(request, cookies.LANGUAGE, self._settings)
        if chosen not in spoken:
            # In the order of their quality; a reader of fr-CA reads fr too.
            named = [tag.lower() for tag in request.accept_languages.values()]
            read = [code for tag in named for code in (tag, tag.partition("-")[0])]
            chosen = next((code for code in read if code in spoken), None)
        return i18n.of(chosen or self._settings.core.language)

    def _opened_links(self) -> dict[str, str]:
        if cookies.LINK not in request.environ.get("HTTP_COOKIE", ""):
            return {}
        found = {p: cookies.read(request, cookies.link(p), self._settings) for p in self.links}
        return {purpose: token for purpose, token in found.items() if token is not None}

    def _brought(self) -> dict[str, str]:
        sent = request.environ.get("HTTP_COOKIE", "")
        names = [name for name in self.brought if name in sent]
        found = {name: cookies.read(request, name, self._settings) for name in names}
        return {name: token for name, token in found.items() if token is not None}

    def _ip(self) -> str:
        forwarded = request.headers.get("X-Forwarded-For", "")
        # The mark of werkzeug's ProxyFix: there the ip of the connection is the visitor's already.
        known = self._settings.trusted or "werkzeug.proxy_fix.orig" in request.environ
        if forwarded and not known and not self._warned:
            self._warned = True
            _log.warning(
                "a request carries X-Forwarded-For and no proxy is trusted: if one stands in front "
                "of this service, name its network with BIENVENUE_TRUSTED_PROXIES"
            )
        return visitor_ip(request.remote_addr or "", forwarded, self._settings.trusted)


def _proxied() -> ProxiedRequest | None:
    """Return the request that a proxy asks about: of nginx whole, of Caddy and Traefik in parts."""
    sent = request.headers
    if "X-Original-URL" in sent:
        # nginx makes 500 of any answer but 2xx, 401 and 403 (ngx_http_auth_request_module).
        method = sent.get("X-Original-Method", "GET")
        return ProxiedRequest(method, sent["X-Original-URL"], redirects=False)
    if "X-Forwarded-Uri" in sent:
        origin = f"{sent.get('X-Forwarded-Proto', '')}://{sent.get('X-Forwarded-Host', '')}"
        method = sent.get("X-Forwarded-Method", "GET")
        return ProxiedRequest(method, f"{origin}{sent['X-Forwarded-Uri']}", redirects=True)
    return None
