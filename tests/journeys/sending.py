"""A process that sends emails and does nothing else, until it is killed."""

import time

from bienvenue import Auth


def send() -> None:
    """Send what is due, on the database of the environment, again and again."""
    auth = Auth()
    while True:
        auth.mail.work()
        time.sleep(0.01)
