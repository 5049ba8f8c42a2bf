"""The operations on access tokens."""

import logging
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from bienvenue import clock, normalize, purposes, token_format, tokens
from bienvenue.authentication import Caller
from bienvenue.db import DB, DatabaseUnavailable, Transaction, UnchangingRows, retried
from bienvenue.feature import Event, Feature, MenuEntry, Reason, needs
from bienvenue.features.access_tokens.errors import (
    LifetimeTooLong,
    MalformedLifetime,
    MalformedServiceName,
    MalformedTokenName,
    NoSuchAccessToken,
    ScopesMissing,
    ServiceAccount,
    TooManyAccessTokens,
    TooManyNewTokens,
    UnknownScope,
)
from bienvenue.features.access_tokens.models import (
    ACCOUNT_READ,
    CHECK,
    FULL_ACCESS,
    LASTING,
    LONGEST_NAME,
    AccessToken,
    AccessTokenSettings,
    AddedToken,
    columns,
    written,
)
from bienvenue.features.accounts import Accounts, EmailTaken
from bienvenue.features.mail import Mail
from bienvenue.features.sessions import Session
from bienvenue.hashing import NO_PASSWORD
from bienvenue.registry import Registry
from bienvenue.settings import seconds
from bienvenue.user import AccessTokenGrant, SignedIn, User
from bienvenue.web.identity import BearerToken, Identifier
from bienvenue.web.page import Pages
from bienvenue.web.refusals import NotFound, NotSignedIn

_log = logging.getLogger("bienvenue")

ADDED_AN_HOUR = 10
"""Tokens that a user may make in an hour: one can make and revoke them without end."""

USED_EVERY = 600
"""Seconds between two writes of `last_used_at`."""

_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


def _(text: str) -> str:
    """Mark a text for the catalogues; its page translates it."""
    return text


class _Wanted(NamedTuple):
    """What a new token is to be."""

    name: str
    scopes: str
    #: In seconds.
    lifetime: int


class AccessTokens(Feature[AccessTokenSettings]):
    """The operations on access tokens."""

    name = "access_tokens"
    _accounts = needs(Accounts)
    _mail = needs(Mail)
    Settings = AccessTokenSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "access_token.added": "An access token was made, with its name and scopes.",
        "access_token.revoked": "An access token was revoked, by its owner, by itself or by an "
        "operator.",
        "access_tokens.revoked": "All access tokens of an account were revoked, for a reason.",
    }
    sentences: ClassVar = {
        "access_token.added": "An access token was created.",
        "access_token.revoked": "An access token was revoked.",
        "access_tokens.revoked": "All access tokens were revoked.",
    }
    notices: ClassVar = {"access_token.added": "access_token_added"}
    flashes: ClassVar = {"token-revoked": "The token was revoked."}
    menu = (
        MenuEntry(
            "/access_tokens",
            "Access tokens",
            "Let programs act for you, and revoke what they use.",
            "Manage",
            45,
        ),
    )

    def __init__(self, registry: Registry, db: DB, settings: AccessTokenSettings) -> None:
        """Open the feature with an empty cache; the menu leads to it where people have tokens."""
        super().__init__(registry, db, settings)
        self._lasting = UnchangingRows(db, LASTING)
        if settings.access_tokens != "people":
            vars(self)["menu"] = ()

    def identifiers(self) -> Sequence[Identifier]:
        """Return the bearer token, by which programs are known."""
        if self.settings.access_tokens == "off":
            return ()
        return (BearerToken(self, self._registry.settings),)

    def sign_in_refusal(self, user: User) -> ServiceAccount | None:
        """Return the refusal of the account of a service: it has tokens, and never a session."""
        is_service = normalize.is_service(user.email) and user.disabled_at is None
        return ServiceAccount() if is_service else None

    def context(self) -> dict[str, Any]:
        """Return the scopes and the lifetimes that a token may be given."""
        longest = self.settings.access_token_longest
        offered = sorted({7 * 86400, 30 * 86400, self._default, longest})
        return {
            "token_scopes": self.scopes,
            "token_lifetimes": [one for one in offered if one <= longest],
            "token_lifetime": self._default,
        }

    @property
    def scopes(self) -> dict[str, str]:
        """Every scope that a token may have, with what it allows, full access last."""
        own = {
            ACCOUNT_READ: _("Read what the pages of your account show"),
            FULL_ACCESS: _("Full access: all that a token can do for you"),
        }
        return {**self.settings.own_scopes, **own}

    @property
    def _default(self) -> int:
        return min(self.settings.access_token_lifetime, self.settings.access_token_longest)

    # --- making one -----------------------------------------------------------------------------

    def add(
        self, caller: Caller, me: SignedIn, name: str, scopes: str, lifetime: str | None = None
    ) -> AddedToken:
        """Make a token of the signed-in user; its owner is notified.

        `scopes` are separated by spaces; `lifetime` is as "90d", by default the setting's. Raises
        the refusals of this feature, NotFound where people have no tokens, and NotSignedIn when the
        session or the account changed meanwhile.
        """
        self.require_people()
        if me.token is not None:
            raise NotSignedIn
        wanted = self._checked(name, scopes, lifetime)
        if not self._may_add(me):
            raise TooManyNewTokens
        # The session may have ended since it was checked.
        here = select(Session.uid).where(Session.uid == me.session_uid).exists()
        mine = (User.session_id == me.generation) & User.disabled_at.is_(None) & here
        return self._add(caller, me.user_id, wanted, mine)

    @retried
    def _may_add(self, me: SignedIn) -> bool:
        return self._mail.may_ask("access_tokens", me.user_uid, 0.0, ADDED_AN_HOUR)

    def add_for(
        self, caller: Caller, user: str, name: str, scopes: str, lifetime: str | None = None
    ) -> AddedToken:
        """Make a token of the account of an email or uid; its owner is notified.

        Raises NoSuchUser, NotFound where people have no tokens, and the refusals of this feature.
        """
        found = self._accounts.find(user)
        if not normalize.is_service(found.email):
            self.require_people()
        wanted = self._checked(name, scopes, lifetime)
        return self._add(caller, found.id, wanted, User.disabled_at.is_(None))

    def add_for_service(
        self, caller: Caller, service: str, name: str, scopes: str, lifetime: str | None = None
    ) -> AddedToken:
        """Make a token of a service, and its account with the first one.

        Raises MalformedServiceName, and the refusals of this feature.
        """
        email = self.account_of(service)
        wanted = self._checked(name, scopes, lifetime)
        # Two first tokens at once make one account.
        with suppress(EmailTaken):
            if email not in self._accounts.taken([email], []):
                self._accounts.add(caller, email, NO_PASSWORD)
        found = self._accounts.find(email)
        return self._add(caller, found.id, wanted, User.disabled_at.is_(None))

    @staticmethod
    def account_of(service: str) -> str:
        """Return the name of the account of a service. Raises MalformedServiceName."""
        if not _SERVICE.fullmatch(service):
            raise MalformedServiceName("service")
        return f"{service}{normalize.SERVICE}"

    def _checked(self, name: str, scopes: str, lifetime: str | None) -> _Wanted:
        name = normalize.text(name, "name").strip()
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise MalformedTokenName("name")
        chosen = sorted(set(scopes.split()))
        if not chosen:
            raise ScopesMissing("scopes")
        if not set(chosen) <= self.scopes.keys():
            raise UnknownScope("scopes")
        if FULL_ACCESS in chosen:
            chosen = [FULL_ACCESS]
        lives = self._default if lifetime is None else seconds(lifetime)
        if lives is None or lives <= 0:
            raise MalformedLifetime("lifetime")
        if lives > self.settings.access_token_longest:
            raise LifetimeTooLong("lifetime", most=_spelt(self.settings.access_token_longest))
        return _Wanted(name, " ".join(chosen), lives)

    @retried
    def _add(
        self,
        caller: Caller,
        user_id: int,
        wanted: _Wanted,
        where: ColumnElement[bool],
    ) -> AddedToken:
        name, scopes, lives = wanted
        secret, now = token_format.new(), clock.now()
        row: dict[str, Any] = {
            "digest": self.digest(secret),
            "uid": str(uuid.uuid4()),
            "user_id": user_id,
            "name": name,
            "scopes": scopes,
            "created_at": now,
            "expires_at": now + lives,
        }
        with self._db.transaction() as tx:
            # Locks the account: a change of its password that comes first makes `where` false, and
            # one that comes later finds this row.
            self._accounts.hold(user_id)
            email = tx.scalar(select(User.email).where(User.id == user_id, where))
            if email is None:
                raise NotSignedIn
            live = select(func.count()).where(columns.user_id == user_id, self._is_live(now))
            if (tx.scalar(live) or 0) >= self.settings.access_token_cap:
                raise TooManyAccessTokens
            tx.execute(insert(AccessToken), row)
            facts = {"token": row["uid"], "token_name": name, "scopes": scopes}
            self._registry.publish(Event(caller, "access_token.added", user_id, facts))
        return AddedToken(row["uid"], name, written(scopes), row["expires_at"], email, secret)

    # --- who is this? ---------------------------------------------------------------------------

    @staticmethod
    def digest(secret: str) -> bytes:
        """Return the digest that the table stores for a token."""
        return tokens.digest(purposes.ACCESS_TOKEN, secret)

    def look_up(self, secret: str) -> SignedIn | None:
        """Return who acts by a well-formed token, or None; write nothing.

        Raises DatabaseUnavailable.
        """
        now, digest = clock.now(), self.digest(secret)
        changing = self._db.fetch_row(
            CHECK,
            {
                "digest": digest,
                "now": now,
                "created_after": now - self.settings.access_token_longest,
                "created_until": now + clock.APART,
            },
        )
        lasting = None if changing is None else self._lasting.of(digest)
        if lasting is None:
            return None
        email, used_at = changing
        if self.settings.access_tokens == "services" and not normalize.is_service(email):
            return None
        user_id, user_uid, user_created_at, uid, name, scopes, created_at, expires_at = lasting
        return SignedIn(
            email=email,
            generation="",
            last_seen_at=used_at or 0.0,
            authenticated_at=0.0,
            user_id=user_id,
            user_uid=user_uid,
            user_created_at=user_created_at,
            session_uid="",
            digest=digest,
            created_at=created_at,
            expires_at=expires_at,
            amr="",
            ip="",
            agent="",
            remembered=False,
            token=AccessTokenGrant(uid, name, frozenset(written(scopes))),
        )

    def touch_is_due(self, me: SignedIn) -> bool:
        """Return whether `last_used_at` is old enough to be updated, or lies ahead."""
        since = clock.now() - me.last_seen_at
        return since >= USED_EVERY or since < -clock.APART

    def touch(self, me: SignedIn) -> None:
        """Update `last_used_at`, unless the database is read-only or locked.

        Of many requests at once one writes.
        """
        now, used = clock.now(), columns.last_used_at
        due = used.is_(None) | (used <= now - USED_EVERY) | (used > now + clock.APART)
        try:
            with self._db.transaction(patient=False) as tx:
                mine = columns.digest == me.digest
                tx.change(update(AccessToken).where(mine, due).values(last_used_at=now))
        except DatabaseUnavailable:
            _log.debug("an access token's time of use was not written; the next use will")

    # --- what there is, and its end -------------------------------------------------------------

    def require_people(self) -> None:
        """Raise NotFound unless people may have tokens."""
        if self.settings.access_tokens != "people":
            raise NotFound

    def offered(self) -> dict[str, str]:
        """Return the scopes that people may give a token. Raises NotFound if they have none."""
        self.require_people()
        return self.scopes

    def own(self, me: SignedIn) -> Sequence[AccessToken]:
        """Return the live tokens of the user, newest first. Raises NotFound as `offered` does."""
        self.require_people()
        return self.list(me.user_id)

    def _is_live(self, now: float) -> ColumnElement[bool]:
        begun = columns.created_at > now - self.settings.access_token_longest
        return (columns.expires_at > now) & begun

    def list(self, user_id: int) -> Sequence[AccessToken]:
        """Return the live tokens of an account, newest first."""
        mine = (columns.user_id == user_id) & self._is_live(clock.now())
        with self._db.reading() as tx:
            newest = columns.created_at.desc(), columns.uid
            return tx.scalars(select(AccessToken).where(mine).order_by(*newest)).all()

    def all(self, user: str | None = None) -> Sequence[tuple[str, AccessToken]]:
        """Return the live tokens of all accounts, or of the account of an email or uid, by account.

        Each comes with the email of its account. Raises NoSuchUser.
        """
        wanted = self._is_live(clock.now())
        if user is not None:
            wanted &= columns.user_id == self._accounts.find(user).id
        query = select(User.email, AccessToken).join(User, User.id == columns.user_id)
        with self._db.reading() as tx:
            rows = tx.execute(query.where(wanted).order_by(User.email, columns.created_at)).all()
        return [(row[0], row[1]) for row in rows]

    @retried
    def end_one(self, caller: Caller, me: SignedIn, uid: str) -> None:
        """Revoke one of the user's own tokens by its uid. Raises NoSuchAccessToken.

        A token may end no other, and itself by the uid "current" too.
        """
        own = None if me.token is None else me.token.uid
        uid = own if own is not None and uid == "current" else uid
        if own is not None and uid != own:
            raise NoSuchAccessToken
        with self._db.transaction() as tx:
            if not self._end(caller, tx, (columns.user_id == me.user_id) & (columns.uid == uid)):
                raise NoSuchAccessToken

    @retried
    def end_any(self, caller: Caller, uid: str) -> str:
        """Revoke the token of a uid, of any account; return its name. Raises NoSuchAccessToken."""
        with self._db.transaction() as tx:
            ended = self._end(caller, tx, columns.uid == uid)
        if not ended:
            raise NoSuchAccessToken
        return ended[0]

    def _end(self, caller: Caller, tx: Transaction, which: ColumnElement[bool]) -> Sequence[str]:
        ended = tx.execute(
            delete(AccessToken)
            .where(which)
            .returning(columns.uid, columns.user_id, columns.name)
            .execution_options(synchronize_session=False)
        ).all()
        for uid, user_id, name in ended:
            facts = {"token": uid, "token_name": name}
            self._registry.publish(Event(caller, "access_token.revoked", user_id, facts))
        return [name for _, _, name in ended]

    def revoke(
        self, caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Revoke all tokens of a changed account; one that a thief made must not stay."""
        with self._db.transaction() as tx:
            if tx.change(delete(AccessToken).where(columns.user_id == user_id)):
                facts = {"reason": reason}
                self._registry.publish(Event(caller, "access_tokens.revoked", user_id, facts))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return a user's tokens without their secrets, including expired ones not yet swept."""
        with self._db.reading() as tx:
            rows = tx.scalars(
                select(AccessToken)
                .where(columns.user_id == user_id)
                .order_by(columns.created_at.desc())
            ).all()
        return {
            "access_tokens": [
                {
                    "uid": row.uid,
                    "name": row.name,
                    "scopes": [*written(row.scopes)],
                    "created_at": clock.written(row.created_at),
                    "expires_at": clock.written(row.expires_at),
                    "last_used_at": None
                    if row.last_used_at is None
                    else clock.written(row.last_used_at),
                }
                for row in rows
            ]
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` expired tokens; return how many."""
        with self._db.transaction() as tx:
            batch = select(columns.digest).where(~self._is_live(now)).limit(limit)
            return tx.change(delete(AccessToken).where(columns.digest.in_(batch)))


def _spelt(length: int) -> str:
    """Write a number of seconds in the largest unit that divides it, as a form takes it."""
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    return next(f"{length // size}{unit}" for unit, size in units if length % size == 0)
