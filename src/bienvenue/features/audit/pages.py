"""The page of the record: what happened to one's own account."""

from collections.abc import Iterable, Mapping

from bienvenue import clock
from bienvenue.features.audit.operations import Audit
from bienvenue.features.audit.table import Entry
from bienvenue.features.mail import Written
from bienvenue.features.sessions import SignedIn
from bienvenue.web import agents
from bienvenue.web.door import AUTH
from bienvenue.web.page import Answer, Reply

page = Audit.pages


class Letter(Reply):
    """What a letter said."""

    subject: str
    text: str


class Happening(Reply):
    """One event of one's account. `at` is RFC 3339 in UTC."""

    at: str
    event: str
    sentence: str
    #: Why, as far as the event has a reason.
    why: str | None
    #: How often it happened in that minute, of what is counted.
    times: int
    #: Where it came from, where that is known and not erased.
    ip: str | None
    device: str | None
    #: What was written to the person about it, without its link, while that is kept.
    letter: Letter | None

    @classmethod
    def of(cls, entry: Entry, letters: Mapping[str, Written]) -> "Happening":
        """Describe a row of the record."""
        written = letters.get(entry.facts.get("letter_uid", ""))
        agent, device = entry.personal.get("agent"), entry.personal.get("device")
        return cls(
            at=clock.written(entry.at),
            event=entry.name,
            sentence=entry.sentence,
            why=entry.facts.get("why"),
            times=entry.times,
            ip=entry.personal.get("ip") or None,
            # Rows of before have the header alone.
            device=device or (None if agent is None else agents.name_of(agent)),
            letter=None if written is None else Letter(subject=written.subject, text=written.text),
        )


class Activity(Reply):
    """What happened to one's account, newest first."""

    activity: list[Happening]

    @classmethod
    def of(cls, entries: Iterable[Entry], letters: Mapping[str, Written]) -> "Activity":
        """Describe rows of the record."""
        return cls(activity=[Happening.of(entry, letters) for entry in entries])


@page("GET /activity", gives={200: Activity})
def activity(me: SignedIn) -> Answer:
    """Say what happened to one's account, the newest hundred events first."""
    entries = AUTH.audit.list(me.user_id)
    return Answer(Activity.of(entries, AUTH.mail.about(entries)), page="audit/activity.html")
