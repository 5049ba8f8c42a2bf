"""The operations on sessions. Only `open` opens one."""

import logging
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from sqlalchemy import delete, select, update

from bienvenue import clock, purposes, tokens
from bienvenue.authentication import Authentication, Caller, Channel
from bienvenue.db import DB, DatabaseUnavailable, Transaction, UnchangingRows, retried
from bienvenue.feature import Event, Feature, MenuEntry, Reason, needs
from bienvenue.features.authentications import Authentications
from bienvenue.features.known_devices import KnownDevices
from bienvenue.features.passwords import Passwords, WrongCredentials
from bienvenue.features.preferences import Preferences
from bienvenue.features.rate_limits import RateLimits
from bienvenue.features.sessions.errors import MFARequired, NoSuchSession
from bienvenue.features.sessions.models import (
    CHECK,
    GENERATION,
    LASTING,
    MAKE_ROOM,
    OPEN,
    OpenedSession,
    Session,
    SessionSettings,
    columns,
)
from bienvenue.registry import Registry
from bienvenue.user import SignedIn, User
from bienvenue.web.identity import Identifier, SessionCookie
from bienvenue.web.page import Pages
from bienvenue.web.refusals import NotSignedIn

_log = logging.getLogger("bienvenue")

SEEN_EVERY = 60
"""Seconds between two writes of `last_seen_at`: a session may expire that much early, never late.

A tenth of the idle lifetime is used instead where that is shorter.
"""

_CROSSINGS = 3


class Sessions(Feature[SessionSettings]):
    """The operations on sessions."""

    name = "sessions"
    _preferences = needs(Preferences)
    _known_devices = needs(KnownDevices)
    _rate_limits = needs(RateLimits)
    _passwords = needs(Passwords)
    _authentications = needs(Authentications)
    Settings = SessionSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "session.opened": "A person signed in on a device.",
        "session.ended": "One session ended; the reason is with it.",
        "sessions.ended": "All sessions of a person ended, but for the one it kept; with a reason.",
    }
    sentences: ClassVar = {
        "session.ended": "A device was signed out.",
        "session.opened": "A device signed in.",
        "sessions.ended": "All devices were signed out, or all other devices.",
    }
    flashes: ClassVar = {
        "signed-out": "You've signed out.",
        "signed-out-there": "The device was signed out.",
        "others-out": "All other devices were signed out.",
        "out-everywhere": "All devices were signed out.",
    }
    menu = (
        MenuEntry(
            "/sessions",
            "Devices",
            "See where you're signed in, and sign out devices.",
            "See devices",
            40,
        ),
    )

    def __init__(self, registry: Registry, db: DB, settings: SessionSettings) -> None:
        """Open the feature with an empty cache."""
        super().__init__(registry, db, settings)
        self._lasting = UnchangingRows(db, LASTING)

    def context(self) -> dict[str, Any]:
        """Return how long the cookie of a session lives, and whether the sign-in page asks."""
        return {
            "session_lifetime": self.settings.session_lifetime,
            "asks_to_remember": self.settings.remember == "asked",
        }

    def identifiers(self) -> Sequence[Identifier]:
        """Return the session cookie, by which browsers and programs are known."""
        return (SessionCookie(self, self._registry.settings),)

    def sign_in(
        self,
        caller: Caller,
        email: str,
        password: str,
        *,
        replaces: str | None = None,
        return_to: str | None = None,
        remember: bool = True,
    ) -> OpenedSession:
        """Verify a password and open a new session (ASVS 7.2.4).

        `replaces` is the session secret that the same browser had; that session ends. `return_to`
        is where the visitor goes on. The session ends with the browser unless `remember`. Raises
        the refusals of `Passwords.authenticate`, and MFARequired while another factor is required.
        """
        for _ in range(_CROSSINGS):
            found = self._passwords.authenticate(caller, email, password)
            found = replace(found, return_to=return_to, remember=remember)
            opened = self.open(caller, found, replaces=replaces)
            if opened is not None:
                return opened
            # The account changed between the verification and the session: verify again.
        raise WrongCredentials

    def open(
        self, caller: Caller, authentication: Authentication, *, replaces: str | None = None
    ) -> OpenedSession | None:
        """Open a session: the only way in, whatever was verified.

        `replaces` is the session secret that the same browser had; that session ends. Returns None
        when the account changed since it was read. Raises AccountClosed and AccountDisabled, and
        MFARequired while a factor is required: the authentication is stored then, and opens
        nothing. A stored one opens one session; a second time raises NoSignInInProgress.
        """
        user = authentication.user
        shut = self._registry.sign_in_refusal(user)
        if shut is not None:
            raise shut
        due = self._registry.required_factors(authentication)
        if due:
            raise MFARequired(due, self._authentications.store(caller, authentication))
        # Parsed before the transaction, which locks the account and, on SQLite, all writers.
        caller.origin  # noqa: B018 (a cached value)
        return self._open(caller, authentication, replaces)

    @retried
    def _open(
        self, caller: Caller, authentication: Authentication, replaces: str | None
    ) -> OpenedSession | None:
        now, user, publish = clock.now(), authentication.user, self._registry.publish
        secret, known = tokens.new(), None
        digest = self.digest(secret)
        rehashed = authentication.rehashed
        # A browser that reopens its windows keeps the cookies that end with it.
        most = math.inf if authentication.remember else self.settings.session_browser_lifetime
        lifetime = min(authentication.lifetime or math.inf, self.settings.session_lifetime, most)
        with self._db.transaction() as tx:
            compared = {"the_user": user.id, "compared": user.hashed_password}
            hashed = {"hashed": rehashed or user.hashed_password}
            new_generation = {"new_generation": str(uuid.uuid4())}
            found = tx.execute(GENERATION, compared | hashed | new_generation).one_or_none()
            if found is None:
                return None
            generation, language = found
            session = str(uuid.uuid4())
            opened: dict[str, Any] = {
                "digest": digest,
                "uid": session,
                "user_id": user.id,
                "generation": generation,
                "created_at": now,
                "last_seen_at": now,
                "expires_at": now + lifetime,
                "authenticated_at": authentication.at,
                "amr": " ".join(authentication.amr),
                "ip": caller.address[:45],
                "agent": caller.agent,
                "remembered": authentication.remember,
            }
            tx.execute(OPEN, opened)
            if rehashed is not None:
                publish(Event(caller, "password.rehashed", user.id))
            if replaces is not None:
                mine = columns.digest == self.digest(replaces)
                self._end(caller, tx, mine, Reason.SIGNED_IN_AGAIN)
            self._make_room(caller, tx, user.id, opened)
            publish(Event(caller, "session.opened", user.id, {"session": session}))
            if caller.channel is not Channel.CODE:
                known, new = self._known_devices.remember(user.id, caller.device)
                if new:
                    publish(Event(caller, "device.first_seen", user.id))
            self._authentications.spend(authentication)
            self._rate_limits.settle(authentication.attempt)
        return OpenedSession(user, secret, known, language)

    def _make_room(
        self, caller: Caller, tx: Transaction, user_id: int, opened: Mapping[str, Any]
    ) -> None:
        now = opened["created_at"]
        which = {
            "the_user": user_id,
            "the_digest": opened["digest"],
            "the_generation": opened["generation"],
            "now": now,
            "created_before": now - self.settings.session_lifetime,
            "seen_before": now - self.settings.session_idle,
            "cap": self.settings.session_cap,
        }
        ended = [(uid, owner) for uid, owner, over in tx.execute(MAKE_ROOM, which) if not over]
        self._publish_ended(caller, ended, Reason.SESSION_CAP)

    def _over(self, now: float) -> Any:
        return (
            (columns.expires_at <= now)
            | (columns.created_at <= now - self.settings.session_lifetime)
            | (columns.last_seen_at <= now - self.settings.session_idle)
        )

    def _end(self, caller: Caller, tx: Transaction, which: Any, reason: Reason) -> int:
        ended = tx.execute(
            delete(Session)
            .where(which)
            .returning(columns.uid, columns.user_id)
            .execution_options(synchronize_session=False)
        ).all()
        self._publish_ended(caller, ended, reason)
        return len(ended)

    def _publish_ended(self, caller: Caller, ended: Iterable[Any], reason: Reason) -> None:
        for uid, user_id in ended:
            self._registry.publish(
                Event(caller, "session.ended", user_id, {"session": uid, "reason": reason})
            )

    @staticmethod
    def digest(secret: str) -> bytes:
        """Return the digest that the table stores for a session's secret."""
        return tokens.digest(purposes.SESSION, secret)

    def check(self, secret: str | None) -> SignedIn | None:
        """Return the user of the live session with this secret, or None.

        Runs one SELECT by primary key, joined to the user, and updates `last_seen_at` at most once
        in SEEN_EVERY seconds, unless the database is read-only or locked. Raises
        DatabaseUnavailable when the SELECT fails.
        """
        if not tokens.well_formed(secret):
            return None
        me = self.look_up(str(secret))
        if me is not None and self.touch_is_due(me):
            self.touch(me)
        return me

    def look_up(self, secret: str) -> SignedIn | None:
        """Check a well-formed secret as `check` does, and write nothing."""
        now = clock.now()
        digest = self.digest(secret)
        changing = self._db.fetch_row(
            CHECK,
            {
                "digest": digest,
                "now": now,
                # A shorter lifetime in the settings applies to open sessions too.
                "created_after": now - self.settings.session_lifetime,
                "created_until": now + clock.APART,
                "seen_after": now - self.settings.session_idle,
            },
        )
        lasting = None if changing is None else self._lasting.of(digest)
        return None if lasting is None else SignedIn(*changing, *lasting)

    def touch_is_due(self, me: SignedIn) -> bool:
        """Return whether `last_seen_at` is old enough to be updated, or lies ahead."""
        since = clock.now() - me.last_seen_at
        return since >= min(SEEN_EVERY, self.settings.session_idle / 10) or since < -clock.APART

    def touch(self, me: SignedIn) -> None:
        """Update `last_seen_at`, unless the database is read-only or locked."""
        now = clock.now()
        try:
            with self._db.transaction(patient=False) as tx:
                tx.change(
                    update(Session)
                    .where(
                        columns.digest == me.digest,
                        (columns.last_seen_at < now) | (columns.last_seen_at > now + clock.APART),
                    )
                    .values(last_seen_at=now)
                )
        except DatabaseUnavailable:
            _log.debug("a session's time of use was not written; the next use will")

    def is_fresh(self, me: SignedIn, within: float | None = None) -> bool:
        """Return whether the user authenticated within so many seconds, by default session_fresh.

        A moment ahead of the clock counts for none: the clock was set back since. A request with
        an access token is never fresh.
        """
        if me.token is not None:
            return False
        since = clock.now() - me.authenticated_at
        return -clock.APART <= since < (self.settings.session_fresh if within is None else within)

    def list(self, user_id: int) -> Sequence[Session]:
        """Return a user's live sessions, most recently used first."""
        now = clock.now()
        with self._db.reading() as tx:
            return tx.scalars(
                select(Session)
                .join(User, User.id == columns.user_id)
                .where(User.id == user_id, User.session_id == columns.generation)
                .where(~self._over(now), columns.created_at <= now + clock.APART)
                .order_by(columns.last_seen_at.desc(), columns.created_at.desc())
            ).all()

    @retried
    def rotate(self, me: SignedIn, *, authenticated: bool = True) -> str:
        """Replace the secret of a session and return the new one.

        The session becomes fresh if this request `authenticated` the user; its expiry stays the
        same. Raises NotSignedIn when the session ended meanwhile.
        """
        secret = tokens.new()
        since = clock.now() if authenticated else me.authenticated_at
        with self._db.transaction() as tx:
            moved = tx.change(
                update(Session)
                .where(columns.digest == me.digest, columns.generation == me.generation)
                .values(digest=self.digest(secret), authenticated_at=since)
            )
            if moved != 1:
                raise NotSignedIn
        return secret

    @retried
    def end(self, caller: Caller, me: SignedIn) -> None:
        """End the session of this request."""
        with self._db.transaction() as tx:
            # By its uid and not its digest: a password change may have replaced the secret.
            mine = (columns.user_id == me.user_id) & (columns.uid == me.session_uid)
            self._end(caller, tx, mine, Reason.SIGNED_OUT)

    @retried
    def end_one(self, caller: Caller, me: SignedIn, uid: str) -> None:
        """End one of the user's own sessions by its uid. Raises NoSuchSession for any other."""
        with self._db.transaction() as tx:
            mine = (columns.user_id == me.user_id) & (columns.uid == uid)
            if not self._end(caller, tx, mine, Reason.SIGNED_OUT_ELSEWHERE):
                raise NoSuchSession

    def end_which(self, caller: Caller, me: SignedIn, which: str | None) -> str | None:
        """End this session (None), the "others" or "all"; return the new secret if this one stays.

        Raises NotSignedIn when this session ended before the others.
        """
        if which == "others":
            return self.end_others(caller, me)
        if which == "all":
            self.end_all(caller, me.user_id)
        else:
            self.end(caller, me)
        return None

    @retried
    def end_others(self, caller: Caller, me: SignedIn) -> str:
        """End all sessions of the user except this one, and return the new secret of this one.

        A copy of its cookie ends with the others. Raises NotSignedIn when it ended meanwhile.
        """
        with self._db.transaction():
            secret = self.rotate(me, authenticated=False)
            kept = self.digest(secret)
            self.revoke(caller, me.user_id, Reason.SIGNED_OUT_ELSEWHERE, keep_session=kept)
        return secret

    @retried
    def end_all(
        self, caller: Caller, user_id: int, reason: Reason = Reason.SIGNED_OUT_EVERYWHERE
    ) -> None:
        """End all sessions of a user."""
        with self._db.transaction():
            self.revoke(caller, user_id, reason)

    @retried
    def end_all_users(self, caller: Caller) -> int:
        """End all sessions of all users; return how many users were signed in."""
        with self._db.transaction() as tx:
            user_ids = set(
                tx.scalars(
                    delete(Session)
                    .returning(columns.user_id)
                    .execution_options(synchronize_session=False)
                )
            )
            tx.change(update(User).where(User.session_id.is_not(None)).values(session_id=None))
            for user_id in sorted(user_ids):
                self._registry.publish(
                    Event(
                        caller, "sessions.ended", user_id, {"reason": Reason.EVERYBODY_SIGNED_OUT}
                    )
                )
        return len(user_ids)

    def revoke(
        self, caller: Caller, user_id: int, reason: Reason, keep_session: bytes | None = None
    ) -> None:
        """End all sessions of a user, except the one with the digest `keep_session`.

        The new generation ends them; deleting the rows only frees space.
        """
        generation, kept = None if keep_session is None else str(uuid.uuid4()), None
        with self._db.transaction() as tx:
            tx.change(update(User).where(User.id == user_id).values(session_id=generation))
            mine = columns.user_id == user_id
            if keep_session is not None:
                kept = tx.execute(
                    update(Session)
                    .where(columns.digest == keep_session, columns.user_id == user_id)
                    .values(generation=generation)
                    .returning(columns.uid)
                    .execution_options(synchronize_session=False)
                ).scalar_one_or_none()
                mine &= columns.digest != keep_session
            tx.change(delete(Session).where(mine))
            # A session can end all others as often as it likes, at no cost.
            repeats = reason == Reason.SIGNED_OUT_ELSEWHERE
            counted = f"{user_id} {kept}" if repeats else None
            facts = {"reason": reason}
            self._registry.publish(Event(caller, "sessions.ended", user_id, facts, counted))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return a user's sessions, including expired ones that are not yet swept."""
        with self._db.reading() as tx:
            rows = tx.scalars(
                select(Session)
                .where(columns.user_id == user_id)
                .order_by(columns.created_at.desc())
            ).all()
        return {
            "sessions": [
                {
                    "uid": row.uid,
                    "created_at": clock.written(row.created_at),
                    "last_seen_at": clock.written(row.last_seen_at),
                    "expires_at": clock.written(row.expires_at),
                    "authenticated_at": clock.written(row.authenticated_at),
                    "amr": row.amr.split(),
                    "ip": row.ip,
                    "agent": row.agent,
                    "remembered": row.remembered,
                }
                for row in rows
            ]
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` expired sessions; return how many."""
        over = self._over(now)
        with self._db.transaction() as tx:
            batch = select(columns.digest).where(over).limit(limit)
            return tx.change(delete(Session).where(columns.digest.in_(batch)))
