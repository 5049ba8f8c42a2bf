"""Four features of an application, for tests: each stands on what the house offers, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from bienvenue.authentication import Authentication, Caller, Factor
from bienvenue.feature import Event, Feature, Refusal, needs
from bienvenue.features.accounts import Accounts
from bienvenue.features.authentications import Authentications, NoSignInInProgress
from bienvenue.features.sessions import Sessions
from bienvenue.features.sessions.pages import LoggedIn
from bienvenue.settings import Section
from bienvenue.user import SignedIn
from bienvenue.web.identity import CredentialHeaders, Identifier
from bienvenue.web.page import Answer, Form, Pages, Text, Visitor

# --- a factor -----------------------------------------------------------------------------------


class WrongCode(Refusal):
    """The code is another one."""

    status, code, message = 403, "wrong_code", "Wrong code."


class CodeSent(Form):
    """The body of the request."""

    code: Text


class Codes(Feature[Section]):
    """A second factor: the code is 123456 for everybody."""

    name = "codes"
    pages: ClassVar[Pages] = Pages()

    def required_factors(self, authentication: Authentication) -> Sequence[Factor]:
        """Require a code of everybody."""
        return () if "otp" in authentication.amr else (Factor("code", "/code"),)


@Codes.pages("POST /code", accepts=CodeSent, returns={200: LoggedIn}, public=True,
             errors=(WrongCode, NoSignInInProgress))  # fmt: skip
def code(form: CodeSent, caller: Caller, visitor: Visitor) -> Answer:
    """Complete the sign-in of this browser."""
    found = Authentications.current().find(visitor.authentication)
    if form.code != "123456":
        raise WrongCode("code")
    opened = Sessions.current().open(caller, found.completed("otp"), replaces=visitor.session)
    if opened is None:
        raise NoSignInInProgress
    value = LoggedIn(email=opened.user.email)
    return Answer(value, redirect_to="/profile", return_to=found.return_to, after="sign_in",
                  session=opened.secret)  # fmt: skip


# --- a way in -----------------------------------------------------------------------------------


class BadgeShown(Form):
    """The body of the request."""

    badge: Text


class Badges(Feature[Section]):
    """A way in: the badge of an account is its uid."""

    name = "badges"
    pages: ClassVar[Pages] = Pages()
    _accounts = needs(Accounts)
    _sessions = needs(Sessions)

    def sign_in(self, caller: Caller, badge: str) -> Any:
        """Open a session. Raises NoSuchUser, and the refusals of `Sessions.open`."""
        user = self._accounts.find(badge)
        return self._sessions.open(caller, Authentication(user, ("hwk",)))


@Badges.pages("POST /badge", accepts=BadgeShown, returns={200: LoggedIn}, public=True)
def badge(form: BadgeShown, caller: Caller) -> Answer:
    """Sign in by a badge."""
    opened = Badges.current().sign_in(caller, form.badge)
    return Answer(LoggedIn(email=opened.user.email), session=opened.secret, device=opened.device)


# --- an identifier ------------------------------------------------------------------------------


class Bearers(Feature[Section]):
    """A way to be known: the secret of a session, in the header Authorization."""

    name = "bearers"
    _sessions = needs(Sessions)

    def identifiers(self) -> Sequence[Identifier]:
        """Return this one, asked after the session cookie."""
        return (self,)

    def credential(self, headers: CredentialHeaders) -> str | None:
        """Return what follows `Session `, or None."""
        kind, _, secret = headers.authorization.partition(" ")
        return secret if kind == "Session" else None

    def look_up(self, credential: str) -> SignedIn | None:
        """Return whose it is, or None."""
        return self._sessions.look_up(credential)

    def touch_is_due(self, me: SignedIn) -> bool:
        """Return False: its use is not recorded."""
        return me is None

    def touch(self, me: SignedIn) -> None:
        """Record nothing."""


# --- a channel ----------------------------------------------------------------------------------


class Pager(Feature[Section]):
    """A channel: what an owner is notified of is also shown on a pager, once it is committed."""

    name = "pager"
    shown: ClassVar[list[tuple[int | None, str, str]]] = []

    def after_commit(self, event: Event) -> None:
        """Show who did what, if the event has a notice."""
        noticed = {name for feature in self._registry.features for name in feature.notices}
        if event.name in noticed:
            self.shown.append((event.user_id, event.name, event.caller.actor))
