"""The look: what a company puts on the pages, and the few files that are made of it.

`/bienvenue/brand.css` has the shades of the accent colour as variables, because a strict content
policy leaves no room for a style in a page. The logo comes from a file that is read once.
"""

from typing import TYPE_CHECKING

from flask import Blueprint, Response, render_template, request
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader

from bienvenue import brand
from bienvenue.settings import PREFIX, Settings, SettingsProblem
from bienvenue.web import responses

if TYPE_CHECKING:
    from bienvenue.web.dispatch import Dispatcher

#: Where password managers look for the page of changing one's password.
_WELL_KNOWN = "/.well-known/change-password"
_SVG = "image/svg+xml"


class Theme:
    """How the pages of one service look."""

    def __init__(self, settings: Settings) -> None:
        """Read the logo. Raises SettingsProblem when there is no such picture."""
        core = settings.core
        self.service = core.service_name
        self.links = list(brand.links(core.footer))
        self.light, self.dark = brand.shades(core.accent)
        self._templates = core.templates
        try:
            self.logo = None if core.logo is None else brand.logo(core.logo)
        except OSError as error:
            raise SettingsProblem(f"{PREFIX}LOGO: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise SettingsProblem(f"{PREFIX}LOGO: {error}") from None

    def open(self, blueprint: Blueprint, door: "Dispatcher") -> None:
        """Route the files, and let templates of the operator come before those of the package."""
        blueprint.add_url_rule("/bienvenue/brand.css", "brand", self._stylesheet)
        blueprint.add_url_rule("/bienvenue/logo", "logo", self._logo)
        blueprint.add_url_rule("/bienvenue/icon", "icon", self._icon)
        blueprint.add_url_rule(_WELL_KNOWN, "change-password", lambda: _lead(door))
        if self._templates is not None and blueprint.jinja_loader is not None:
            loaders: list[BaseLoader] = [FileSystemLoader(self._templates), blueprint.jinja_loader]
            blueprint.jinja_loader = ChoiceLoader(loaders)

    def _stylesheet(self) -> Response:
        return _file(self._made("brand.css"), "text/css")

    def _logo(self) -> Response:
        if self.logo is None:
            return responses.empty(404)
        return _file(self.logo.data, self.logo.mimetype)

    def _icon(self) -> Response:
        if self.logo is not None and self.logo.is_sign:
            return self._logo()
        return _file(self._made("icon.svg"), _SVG)

    def _made(self, template: str) -> bytes:
        values = {"light": self.light, "dark": self.dark, "service": self.service}
        return render_template(f"bienvenue/{template}", **values).encode()


def _file(data: bytes, mimetype: str) -> Response:
    """Answer with a file that browsers keep and ask about."""
    response = Response(data, mimetype=mimetype)
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def _lead(door: "Dispatcher") -> Response:
    """Send a password manager on to the page of changing one's password, whoever asks.

    It asks as nobody first, whether a page is there, and a refusal would say no (W3C, A Well-Known
    URL for Changing Passwords, section 3).
    """
    signed_in = door.visitor().session is not None
    return responses.as_redirect(
        door.here("/password" if signed_in else "/sessions/new?next=%2Fpassword")
    )
