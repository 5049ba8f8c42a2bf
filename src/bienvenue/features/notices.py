"""notices: an email to the owner of an account about what changed it.

A feature declares which of its events the owner is notified of, and the template of each
(`Feature.notices`). The notice goes to the email of the account and to its notification email (NIST
SP 800-63B-4 section 4.6; ASVS 6.3.7), is written in the transaction of the event, and has no link.
"""

import functools
from collections.abc import Mapping

from sqlalchemy.exc import NoResultFound

from bienvenue import normalize
from bienvenue.feature import Event, Feature, needs
from bienvenue.features.known_devices import KnownDevices
from bienvenue.features.mail import Mail
from bienvenue.features.notification_email import NotificationEmails
from bienvenue.settings import Section

_SHOWN_FACTS = ("until", "notification_email", "token_name")
"""Facts of an event that its notice may show."""


class Notices(Feature[Section]):
    """Writes the notices of all features."""

    name = "notices"
    _known_devices = needs(KnownDevices)
    _mail = needs(Mail)
    _notification_emails = needs(NotificationEmails)

    @functools.cached_property
    def kinds(self) -> Mapping[str, str]:
        """The kind of notice for each event that has one, as the features declare them."""
        return {
            name: kind
            for feature in self._registry.features
            for name, kind in feature.notices.items()
        }

    def on_event(self, event: Event) -> None:
        """Notify the owner of the account that an event changed, in the event's transaction."""
        kind = self.kinds.get(event.name)
        if kind is None or event.user_id is None:
            return
        if kind == "new_device" and self._known_devices.has_one(event.user_id):
            # The first device of an account is the one its owner just signed in from.
            return
        try:
            user = self._db.find_user_by(id=event.user_id)
        except NoResultFound:
            return
        facts = {
            "device": event.caller.device_name,
            "ip": event.caller.address,
            "mount": self._registry.mount_of(event.caller),
            "email": user.email,
            **{name: event.facts[name] for name in _SHOWN_FACTS if name in event.facts},
        }
        notification_email = self._notification_emails.email_of(user.id)
        # An event with an email of its own has notified the email of the account with it.
        notified = "message_uid" in event.facts or normalize.is_service(user.email)
        account_email = None if notified else user.email
        addresses = [to for to in (account_email, notification_email) if to is not None]
        for email in dict.fromkeys(addresses):
            self._mail.notify(event.caller, kind, email, user.id, facts)
