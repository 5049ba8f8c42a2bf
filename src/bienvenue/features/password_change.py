"""password_change: replacing a password with the old one.

Every other session ends, and every other browser becomes an unknown device (ASVS 6.2.2, 6.2.3,
7.4.3).
"""

from typing import ClassVar, Literal

from sqlalchemy import update
from sqlalchemy.exc import NoResultFound

from bienvenue.authentication import Caller
from bienvenue.db import retried
from bienvenue.feature import Attempt, Event, Feature, MenuEntry, Reason, Refusal, needs
from bienvenue.features.known_devices import KnownDevices
from bienvenue.features.passwords import (
    PasswordCommon,
    PasswordOwnWords,
    Passwords,
    PasswordTooLong,
    PasswordTooShort,
)
from bienvenue.features.rate_limits import RateLimits
from bienvenue.features.sessions import Sessions
from bienvenue.hashing import Match
from bienvenue.settings import Section
from bienvenue.user import SignedIn, User
from bienvenue.web.page import Answer, Form, Pages, Password, Reply
from bienvenue.web.refusals import NotSignedIn

# --- errors -------------------------------------------------------------------------------------


class WrongOldPassword(Refusal):
    """The current password in a request to change it is wrong."""

    status = 403
    code = "wrong_old_password"
    message = "Wrong current password."


# --- operations ---------------------------------------------------------------------------------


class PasswordChange(Feature[Section]):
    """The operation of changing a password."""

    name = "password_change"
    _known_devices = needs(KnownDevices)
    _passwords = needs(Passwords)
    _rate_limits = needs(RateLimits)
    _sessions = needs(Sessions)
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "password.changed": "A user changed the password with the current one.",
    }
    sentences: ClassVar = {
        "password.changed": "Your password was changed.",
    }
    menu = (
        MenuEntry(
            "/password",
            "Password",
            "Changing it signs out all other devices.",
            "Change password",
            30,
        ),
    )
    notices: ClassVar = {"password.changed": "password_changed"}
    flashes: ClassVar = {"password-changed": "Password changed. All other devices were signed out."}

    def change(self, caller: Caller, me: SignedIn, old: str, new: str) -> str:
        """Replace the user's password, end all other sessions, and return the new session secret.

        The caller's browser stays a known device; all others become unknown.

        Raises the refusals of `Passwords.check_policy`, TooManyAttempts, Busy, WrongOldPassword,
        and NotSignedIn when the account or the session changed meanwhile (ASVS 6.2.2, 6.2.3,
        7.4.3).
        """
        self._passwords.check_form(old, "old_password")
        try:
            user = self._db.find_user_by(id=me.user_id)
        except NoResultFound:
            raise NotSignedIn from None
        attempt = Attempt("change_password", user.email, caller.ip, known=True)
        self._rate_limits.check(caller, attempt)
        self._passwords.check_policy(new, [user.email], "new_password")
        with self._passwords.place(caller):
            self._rate_limits.reserve(caller, attempt)
            if self._passwords.compare(user, old) is Match.NO:
                facts = {"session": me.session_uid}
                self._registry.publish(Event(caller, "password.refused", user.id, facts))
                raise WrongOldPassword("old_password")
            self._rate_limits.settle(attempt)
            hashed = self._passwords.hash(caller, new)
        known = self._known_devices.knows(user.email, caller.device)
        return self._store(caller, me, user, hashed, known=known)

    @retried
    def _store(self, caller: Caller, me: SignedIn, user: User, hashed: str, *, known: bool) -> str:
        with self._db.transaction() as tx:
            # The old hash is part of the condition: of two concurrent changes, one wins.
            changed = tx.change(
                update(User)
                .where(User.id == user.id, User.hashed_password == user.hashed_password)
                .values(hashed_password=hashed)
            )
            if changed != 1:
                raise NotSignedIn
            secret = self._sessions.rotate(me)
            self._registry.revoke(
                caller, user.id, Reason.PASSWORD_CHANGED, keep_session=self._sessions.digest(secret)
            )
            if known:
                self._known_devices.remember(user.id, caller.device)
            self._registry.publish(
                Event(caller, "password.changed", user.id, {"session": me.session_uid})
            )
        return secret


# --- pages --------------------------------------------------------------------------------------

page = PasswordChange.pages


class PasswordChangeRequest(Form):
    """The body of a request to change the password."""

    old_password: Password
    new_password: Password


class PasswordChanged(Reply):
    """The password was changed."""

    email: str
    message: Literal["Password updated"] = "Password updated"


class PasswordForm(Reply):
    """The form for a change of the password."""

    action: Literal["PUT /password"] = "PUT /password"


@page("GET /password", returns={200: PasswordForm})
def password_page() -> Answer:
    """Show the form for a new password."""
    return Answer(PasswordForm(), template="password_change/change.html")


@page(
    "PUT /password",
    accepts=PasswordChangeRequest,
    returns={200: PasswordChanged},
    errors=(
        PasswordTooShort,
        PasswordTooLong,
        PasswordCommon,
        PasswordOwnWords,
        WrongOldPassword,
    ),
    form_template="password_change/change.html",
    hashes=True,
)
def change_password(form: PasswordChangeRequest, caller: Caller, me: SignedIn) -> Answer:
    """Change the password, given the current one; all other sessions end."""
    secret = PasswordChange.current().change(caller, me, form.old_password, form.new_password)
    return Answer(
        PasswordChanged(email=me.email),
        redirect_to="/profile",
        session=secret,
        flash="password-changed",
    )
