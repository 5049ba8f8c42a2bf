"""The page of the record: what happened to one's own account."""

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
    """What a email said."""

    subject: str
    text: str


class ActivityEntry(Reply):
    """One event of one's account. `at` is RFC 3339 in UTC."""

    at: str
    event: str
    sentence: str
    #: Why, as far as the event has a reason.
    reason: str | None
    #: How often it happened in that minute, of what is counted.
    times: int
    #: Where it came from, where that is known and not erased.
    ip: str | None
    device: str | None
    #: What was written to the person about it, without its link, while that is kept.
    email: EmailText | None

    @classmethod
    def of(cls, entry: Entry, emails: Mapping[str, MessageText]) -> "ActivityEntry":
        """Describe a row of the record."""
        written = emails.get(entry.facts.get("message_uid", ""))
        agent, device = entry.personal.get("agent"), entry.personal.get("device")
        return cls(
            at=clock.written(entry.at),
            event=entry.name,
            sentence=entry.sentence,
            reason=entry.facts.get("reason"),
            times=entry.times,
            ip=entry.personal.get("ip") or None,
            # Rows of before have the header alone.
            device=device or (None if agent is None else user_agent.name_of(agent)),
            email=None
            if written is None
            else EmailText(subject=written.subject, text=written.text),
        )


class Activity(Reply):
    """What happened to one's account, newest first."""

    activity: list[ActivityEntry]

    @classmethod
    def of(cls, entries: Iterable[Entry], emails: Mapping[str, MessageText]) -> "Activity":
        """Describe rows of the record."""
        return cls(activity=[ActivityEntry.of(entry, emails) for entry in entries])


@page("GET /activity", returns={200: Activity})
def activity(me: SignedIn) -> Answer:
    """Say what happened to one's account, the newest hundred events first."""
    entries = AUTH.audit.list(me.user_id)
    return Answer(
        Activity.of(entries, AUTH.mail.texts_for(entries)), template="audit/activity.html"
    )
