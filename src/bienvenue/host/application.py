"""The service of the application that answers, and its refusals outside of its own pages."""

from typing import cast

from flask import Response, current_app

from bienvenue.errors import Refusal
from bienvenue.web import responses
from bienvenue.web.dispatch import Dispatcher


def dispatcher() -> Dispatcher:
    """Return the dispatcher of the application that answers. Raises KeyError without a service."""
    return cast("Dispatcher", current_app.extensions["bienvenue"])


def refused(refusal: Refusal) -> Response:
    """Refuse outside of our pages, where nothing else adds the headers of ours."""
    service = dispatcher()
    response = service.rendering.refusal(refusal)
    return responses.harden(response, https=service.settings.https)
