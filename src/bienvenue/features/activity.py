"""activity: the page on which users read what happened to their account.

The rows are those of the audit log; beside each stands the email that told of it, while that is
kept (ASVS 16.2.2; NIST SP 800-63B-4 section 4.6).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import click

from bienvenue import clock, user_agent
from bienvenue.feature import Feature, MenuEntry, needs
from bienvenue.features.accounts import Accounts
from bienvenue.features.audit import Audit, Entry
from bienvenue.features.mail import Mail, MessageText
from bienvenue.settings import Section
from bienvenue.user import SignedIn
from bienvenue.web.page import Answer, Pages, Reply

# --- operations ---------------------------------------------------------------------------------


class Activity(Feature[Section]):
    """The events of an account."""

    name = "activity"
    _accounts = needs(Accounts)
    _audit = needs(Audit)
    _mail = needs(Mail)
    pages: ClassVar[Pages] = Pages()
    menu = (
        MenuEntry(
            "/activity",
            "Activity",
            "Sign-ins and changes to your account.",
            "See activity",
            50,
        ),
    )

    def of(self, user_id: int) -> tuple[Sequence[Entry], Mapping[str, MessageText]]:
        """Return the newest events of an account, and the emails about them by name."""
        entries = self._audit.list(user_id)
        return entries, self._mail.texts_for(entries)

    def list(self, user: str | None, limit: int) -> Sequence[Entry]:
        """Return the newest events, of everyone or of a user.

        `user` is an email or a uid, or the number of a deleted account. Raises NoSuchUser.
        """
        user_id = None
        if user is not None:
            user_id = int(user) if user.isdecimal() else self._accounts.find(user).id
        return self._audit.list(user_id, limit)


# --- pages --------------------------------------------------------------------------------------


class EmailText(Reply):
    """The subject and the text of an email, without its link."""

    subject: str
    text: str


class ActivityEntry(Reply):
    """One event of the user's account. `at` is RFC 3339 in UTC."""

    at: str
    event: str
    sentence: str
    #: The reason, if the event has one.
    reason: str | None
    #: How often a counted event happened in that minute.
    times: int
    #: The origin of the request, if it is known and not erased.
    ip: str | None
    device: str | None
    #: The email about the event, while the queue keeps it.
    email: EmailText | None

    @classmethod
    def of(cls, entry: Entry, emails: Mapping[str, MessageText]) -> "ActivityEntry":
        """Describe a row of the audit log."""
        written = emails.get(entry.facts.get("message_uid", ""))
        agent, device = entry.personal.get("agent"), entry.personal.get("device")
        return cls(
            at=clock.written(entry.at),
            event=entry.name,
            sentence=entry.sentence,
            reason=entry.facts.get("reason"),
            times=entry.times,
            ip=entry.personal.get("ip") or None,
            # Rows of earlier versions have only the User-Agent header.
            device=device or (None if agent is None else user_agent.name_of(agent)),
            email=None
            if written is None
            else EmailText(subject=written.subject, text=written.text),
        )


class ActivityShown(Reply):
    """The events of the user's account, newest first."""

    activity: list[ActivityEntry]

    @classmethod
    def of(cls, entries: Iterable[Entry], emails: Mapping[str, MessageText]) -> "ActivityShown":
        """Describe rows of the audit log."""
        return cls(activity=[ActivityEntry.of(entry, emails) for entry in entries])


page = Activity.pages


@page("GET /activity", returns={200: ActivityShown}, scope="account:read")
def activity(me: SignedIn) -> Answer:
    """List the newest hundred events of the user's account."""
    entries, emails = Activity.current().of(me.user_id)
    return Answer(ActivityShown.of(entries, emails), template="activity/activity.html")


# --- commands -----------------------------------------------------------------------------------


def _line(entry: Entry) -> str:
    who = entry.user_uid or ("-" if entry.user_id is None else f"deleted account {entry.user_id}")
    times = f" x{entry.times}" if entry.times > 1 else ""
    facts = {**entry.facts, **entry.personal}
    shown = f"  {json.dumps(facts)}" if facts else ""
    return f"{clock.written(entry.at)}  {entry.name}{times}  {who}{shown}"


@click.command("audit show")
@click.option("--user", help="Only what concerns this user; the number of a deleted account too.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def show(service: Any, user: str | None, limit: int, as_json: bool) -> None:
    """Show what happened, newest first."""
    for entry in service.auth.use(Activity).list(user, limit):
        click.echo(json.dumps(_members(entry)) if as_json else _line(entry))


def _members(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "event": entry.name,
        "user": entry.user_uid,
        "user_id": entry.user_id,
        "facts": entry.facts,
        "personal": entry.personal,
        "times": entry.times,
        "batch": entry.batch,
    }


Activity.commands = (show,)
