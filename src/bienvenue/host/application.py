"""The service of the application that answers, and its refusals outside of its own pages."""

from typing import cast

from flask import Response, current_app

from bienvenue.errors import Refusal
from bienvenue.web import redirects, responses
from bienvenue.web.dispatch import Dispatcher


def dispatcher() -> Dispatcher:
    """Return the dispatcher of the application that answers. Raises KeyError without a service."""
    return cast("Dispatcher", current_app.extensions["bienvenue"])


def refused(refusal: Refusal) -> Response:
    """Refuse outside of our pages, where nothing else adds the headers of ours.

    A browser that must sign in first comes back to the page it wanted.
    """
    service = dispatcher()
    return_to = redirects.of_request(service.settings)
    response = service.rendering.refusal(refusal, return_to=return_to)
    return responses.keep(responses.harden(response, https=service.settings.https))
