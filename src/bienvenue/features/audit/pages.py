"""The page of the audit log: what happened to the user's own account."""

from collections.abc import Iterable, Mapping

from bienvenue import clock, user_agent
from bienvenue.features.audit.models import Entry
from bienvenue.features.audit.operations import Audit
from bienvenue.features.mail import MessageText
from bienvenue.features.sessions import SignedIn
from bienvenue.web.dispatch import AUTH
from bienvenue.web.page import Answer, Reply

page = Audit.pages


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


class Activity(Reply):
    """The events of the user's account, newest first."""

    activity: list[ActivityEntry]

    @classmethod
    def of(cls, entries: Iterable[Entry], emails: Mapping[str, MessageText]) -> "Activity":
        """Describe rows of the audit log."""
        return cls(activity=[ActivityEntry.of(entry, emails) for entry in entries])


@page("GET /activity", returns={200: Activity})
def activity(me: SignedIn) -> Answer:
    """List the newest hundred events of the user's account."""
    entries = AUTH.audit.list(me.user_id)
    return Answer(
        Activity.of(entries, AUTH.mail.texts_for(entries)), template="audit/activity.html"
    )
