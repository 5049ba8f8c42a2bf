"""The operations on sessions. `_open` is the only place that opens one."""

import logging
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import delete, select, update

from bienvenue import clock, purposes, tokens, user_agent
from bienvenue.db import DB, DatabaseUnavailable, Transaction, retried
from bienvenue.feature import Event, Feature, Reason
from bienvenue.features.passwords import PasswordMatch, WrongCredentials
from bienvenue.features.sessions.models import (
    CHECK,
    CLEAR_DEAD,
    END_TOO_MANY,
    GENERATION,
    LASTING,
    OPEN,
    MFARequired,
    NoSuchSession,
    OpenedSession,
    Session,
    SessionSettings,
    SignedIn,
    columns,
)
from bienvenue.user import User
from bienvenue.web.dispatch import NotSignedIn
from bienvenue.web.page import Pages

if TYPE_CHECKING:
    from bienvenue.auth import Auth

_log = logging.getLogger("bienvenue")

SEEN_EVERY = 60
"""Seconds between two writes of `seen`: a session can end that much early, never late.

A tenth of the idle lifetime where that is shorter.
"""

_CROSSINGS = 3

_MOST_KEPT = 10_000
"""Sessions whose lasting values a process keeps in memory; whether they live it always asks."""


class Sessions(Feature[SessionSettings]):
    """What one can do with sessions."""

    name = "sessions"
    Settings = SessionSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "session.opened": "A person signed in on a device.",
        "session.ended": "One session ended; the reason is with it.",
        "sessions.ended": "All sessions of a person ended, but for the one it kept; with a reason.",
    }

    def __init__(self, auth: "Auth", db: DB, settings: SessionSettings) -> None:
        """Open with nothing kept."""
        super().__init__(auth, db, settings)
        self._lasting: dict[bytes, Any] = {}

    def sign_in(
        self,
        email: str,
        password: str,
        *,
        ip: str = "",
        agent: str = "",
        replaces: str | None = None,
        device: str | None = None,
    ) -> OpenedSession:
        """Open a session for whoever knows the password, always a new one.

        `replaces` is the secret that the same browser held; that session ends. `device` is the
        secret by which an account knows it again. Raises what `Passwords.prove` does, and
        MFARequired while another factor is due.
        """
        # Before the transaction of the session, which holds the account, and on SQLite everybody.
        where = user_agent.facts(ip, agent)

        def opened(proven: PasswordMatch) -> OpenedSession | MFARequired | None:
            user, better = proven.user, proven.replacement
            if due := self._auth.required_factors(user, ["password"]):
                return MFARequired(due)
            secret = self._open(user, better, "pwd", where, replaces)
            if secret is None:
                return None
            known, new = self._auth.known_devices.remember(user.id, device)
            if new:
                self._auth.publish(Event("device.first_seen", user.id, where))
            return OpenedSession(user, secret, known)

        for _ in range(_CROSSINGS):
            came = self._auth.passwords.admit(email, password, opened, ip, device)
            if isinstance(came, MFARequired):
                raise came
            if came is not None:
                return came
            # The account changed between the comparison and the session: look at it again.
        raise WrongCredentials

    def open_for(self, user: User) -> str | None:
        """Open a session without a proof, for code that has its own; None if disabled."""
        return self._open(user, None, "", {})

    @retried
    def _open(
        self,
        user: User,
        replacement: str | None,
        amr: str,
        where: dict[str, str],
        replaces: str | None = None,
    ) -> str | None:
        now = clock.now()
        secret = tokens.new()
        digest = self.digest(secret)
        with self._db.transaction() as tx:
            compared = {"the_user": user.id, "compared": user.hashed_password}
            hashed = {"hashed": replacement or user.hashed_password}
            new_generation = {"new_generation": str(uuid.uuid4())}
            generation = tx.execute(
                GENERATION, compared | hashed | new_generation
            ).scalar_one_or_none()
            if generation is None:
                return None
            session = str(uuid.uuid4())
            opened: dict[str, Any] = {
                "digest": digest,
                "uid": session,
                "user_id": user.id,
                "generation": generation,
                "created_at": now,
                "last_seen_at": now,
                "expires_at": now + self.settings.session_lifetime,
                "authenticated_at": now,
                "amr": amr,
                "ip": where.get("ip", "")[:45],
                "agent": where.get("agent", ""),
            }
            tx.execute(OPEN, opened)
            if replacement is not None:
                self._auth.publish(Event("password.rehashed", user.id))
            if replaces is not None:
                self._end(tx, columns.digest == self.digest(replaces), Reason.SIGNED_IN_AGAIN)
            self._make_room(tx, user.id, generation, digest, now)
            self._auth.publish(Event("session.opened", user.id, {"session": session} | where))
        return secret

    def _make_room(
        self, tx: Transaction, user_id: int, generation: str, mine: bytes, now: float
    ) -> None:
        dead = {
            "the_user": user_id,
            "the_generation": generation,
            "now": now,
            "created_before": now - self.settings.session_lifetime,
            "seen_before": now - self.settings.session_idle,
        }
        tx.change(CLEAR_DEAD, dead)
        kept = {"the_user": user_id, "the_digest": mine, "cap": self.settings.session_cap}
        self._tell_ended(tx.execute(END_TOO_MANY, kept).all(), Reason.SESSION_CAP)

    def _over(self, now: float) -> Any:
        return (
            (columns.expires_at <= now)
            | (columns.created_at <= now - self.settings.session_lifetime)
            | (columns.last_seen_at <= now - self.settings.session_idle)
        )

    def _end(self, tx: Transaction, which: Any, reason: Reason) -> int:
        ended = tx.execute(
            delete(Session)
            .where(which)
            .returning(columns.uid, columns.user_id)
            .execution_options(synchronize_session=False)
        ).all()
        self._tell_ended(ended, reason)
        return len(ended)

    def _tell_ended(self, ended: Iterable[Any], reason: Reason) -> None:
        for uid, user_id in ended:
            self._auth.publish(Event("session.ended", user_id, {"session": uid, "reason": reason}))

    @staticmethod
    def digest(secret: str) -> bytes:
        """Give what the table keeps of a session's secret."""
        return tokens.digest(purposes.SESSION, secret)

    def check(self, secret: str | None) -> SignedIn | None:
        """Say whose live session a secret opens; None for everything else.

        One SELECT by primary key joined to the user. `seen` is written at most once a minute, and
        not at all when the database cannot be written to now.
        """
        if not tokens.well_formed(secret):
            return None
        me = self.look_up(str(secret))
        if me is not None and self.touch_is_due(me):
            self.touch(me)
        return me

    def look_up(self, secret: str) -> SignedIn | None:
        """Do what `check` does for a well-formed secret, and write nothing."""
        now = clock.now()
        digest = self.digest(secret)
        changing = self._db.quick(
            CHECK,
            {
                "digest": digest,
                "now": now,
                # A lifetime that was shortened holds for the sessions that are open, too.
                "created_after": now - self.settings.session_lifetime,
                "seen_after": now - self.settings.session_idle,
            },
        )
        lasting = None if changing is None else self._lasting_of(digest)
        return None if lasting is None else SignedIn._make(changing + lasting)

    def _lasting_of(self, digest: bytes) -> Any:
        """Give what never changes of a session; None when it ended in this very moment."""
        found = self._lasting.get(digest)
        if found is None:
            found = self._db.quick(LASTING, {"digest": digest})
            if len(self._lasting) >= _MOST_KEPT:
                self._lasting.clear()
            if found is not None:
                self._lasting[digest] = found
        return found

    def touch_is_due(self, me: SignedIn) -> bool:
        """Tell whether it is time to write down again that a session was used."""
        return clock.now() - me.last_seen_at >= min(SEEN_EVERY, self.settings.session_idle / 10)

    def touch(self, me: SignedIn) -> None:
        """Write down that a session was used, unless the database cannot be written to now."""
        now = clock.now()
        try:
            with self._db.transaction(patient=False) as tx:
                tx.change(
                    update(Session)
                    .where(columns.digest == me.digest, columns.last_seen_at < now)
                    .values(last_seen_at=now)
                )
        except DatabaseUnavailable:
            _log.debug("a session's time of use was not written; the next use will")

    def is_fresh(self, me: SignedIn) -> bool:
        """Tell whether this person proved who they are a short while ago."""
        return clock.now() - me.authenticated_at < self.settings.session_fresh

    def list(self, user_id: int) -> Sequence[Session]:
        """Give a person's live sessions, the one used last first."""
        now = clock.now()
        with self._db.reading() as tx:
            return tx.scalars(
                select(Session)
                .join(User, User.id == columns.user_id)
                .where(User.id == user_id, User.session_id == columns.generation)
                .where(~self._over(now))
                .order_by(columns.last_seen_at.desc(), columns.created_at.desc())
            ).all()

    @retried
    def rotate(self, me: SignedIn) -> str:
        """Give a session a new secret; the old one is dead, and the person fresh.

        Raises NotSignedIn when the session ended meanwhile. It lives no longer for it.
        """
        secret = tokens.new()
        with self._db.transaction() as tx:
            moved = tx.change(
                update(Session)
                .where(columns.digest == me.digest, columns.generation == me.generation)
                .values(digest=self.digest(secret), authenticated_at=clock.now())
            )
            if moved != 1:
                raise NotSignedIn
        return secret

    @retried
    def end(self, me: SignedIn) -> None:
        """End my session of this device."""
        with self._db.transaction() as tx:
            # By its name, not its secret: a password change may have given it another meanwhile.
            mine = (columns.user_id == me.user_id) & (columns.uid == me.session_uid)
            self._end(tx, mine, Reason.SIGNED_OUT)

    @retried
    def end_one(self, me: SignedIn, uid: str) -> None:
        """End one of my sessions by its uid. Raises NoSuchSession, for another's too."""
        with self._db.transaction() as tx:
            mine = (columns.user_id == me.user_id) & (columns.uid == uid)
            if not self._end(tx, mine, Reason.SIGNED_OUT_ELSEWHERE):
                raise NoSuchSession

    def end_which(self, me: SignedIn, which: str | None) -> bool:
        """End this session, or my `others`, or `all` of them; tell whether this one stays."""
        if which == "all":
            self.end_all(me.user_id)
        elif which == "others":
            self.end_others(me)
        else:
            self.end(me)
        return which == "others"

    @retried
    def end_others(self, me: SignedIn) -> None:
        """End all my sessions but this one."""
        with self._db.transaction():
            self.revoke(me.user_id, Reason.SIGNED_OUT_ELSEWHERE, keep_session=me.digest)

    @retried
    def end_all(self, user_id: int, reason: Reason = Reason.SIGNED_OUT_EVERYWHERE) -> None:
        """End every session of a person, in one statement."""
        with self._db.transaction():
            self.revoke(user_id, reason)

    @retried
    def end_everyones(self) -> int:
        """End every session of everybody; give how many people were signed in."""
        with self._db.transaction() as tx:
            people = set(
                tx.scalars(
                    delete(Session)
                    .returning(columns.user_id)
                    .execution_options(synchronize_session=False)
                )
            )
            tx.change(update(User).where(User.session_id.is_not(None)).values(session_id=None))
            for user_id in sorted(people):
                self._auth.publish(
                    Event("sessions.ended", user_id, {"reason": Reason.EVERYBODY_SIGNED_OUT})
                )
        return len(people)

    def revoke(self, user_id: int, reason: Reason, keep_session: bytes | None = None) -> None:
        """End every session of a person, but for the one of the digest `keep_session`.

        The new generation is what ends them; deleting the rows only makes room.
        """
        generation = None if keep_session is None else str(uuid.uuid4())
        with self._db.transaction() as tx:
            tx.change(update(User).where(User.id == user_id).values(session_id=generation))
            mine = columns.user_id == user_id
            if keep_session is not None:
                tx.change(
                    update(Session)
                    .where(columns.digest == keep_session, columns.user_id == user_id)
                    .values(generation=generation)
                )
                mine &= columns.digest != keep_session
            tx.change(delete(Session).where(mine))
            self._auth.publish(Event("sessions.ended", user_id, {"reason": reason}))

    def export(self, user_id: int) -> dict[str, Any]:
        """Give a person's sessions, those not yet swept away too."""
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
                }
                for row in rows
            ]
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` sessions whose time is over; give how many."""
        over = self._over(now)
        with self._db.transaction() as tx:
            batch = select(columns.digest).where(over).limit(limit)
            return tx.change(delete(Session).where(columns.digest.in_(batch)))
