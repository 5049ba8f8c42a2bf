"""Branding: the colour, logo and links of a company on the pages, and the files made of them.

`/bienvenue/brand.css` holds the shades of the accent colour as variables, because the content
policy allows no style in a page. The logo comes from a file that is read once.
"""

from collections.abc import Iterable
from pathlib import Path

from flask import Blueprint, Response, request
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader

from bienvenue import accent, footer, logo
from bienvenue.settings import Settings
from bienvenue.web import redirects, responses
from bienvenue.web.identity import RequestIdentity
from bienvenue.web.templates import Templates

#: Where password managers look for the page on which a person changes their password.
_WELL_KNOWN = "/.well-known/change-password"
_SVG = "image/svg+xml"


class Branding:
    """The branding of one service; templates read it as `branding`."""

    def __init__(self, settings: Settings) -> None:
        """Read the logo, which the settings found to be a picture."""
        core = settings.core
        self.service = core.service_name
        self.links = list(footer.links(core.footer))
        self.light, self.dark = accent.shades(core.accent)
        self.templates = Templates()
        self._folder = core.templates
        self.logo = None if core.logo is None else logo.read(core.logo)

    def open(
        self, blueprint: Blueprint, identity: RequestIdentity, folders: Iterable[Path] = ()
    ) -> None:
        """Route the files, and let the operator's templates come before those of the package.

        Those of the `folders` of features come last.
        """
        blueprint.add_url_rule("/bienvenue/brand.css", "brand", self._stylesheet)
        blueprint.add_url_rule("/bienvenue/logo", "logo", self._logo)
        blueprint.add_url_rule("/bienvenue/icon", "icon", self._icon)
        blueprint.add_url_rule(
            _WELL_KNOWN, "change-password", lambda: _to_change_password(identity)
        )
        operators = [] if self._folder is None else [self._folder]
        loaders: list[BaseLoader] = [
            *map(FileSystemLoader, operators),
            *filter(None, [blueprint.jinja_loader]),
            *map(FileSystemLoader, folders),
        ]
        blueprint.jinja_loader = ChoiceLoader(loaders)

    def _stylesheet(self) -> Response:
        return _file(self._rendered("brand.css"), "text/css")

    def _logo(self) -> Response:
        if self.logo is None:
            return responses.empty(404)
        return _file(self.logo.data, self.logo.mimetype)

    def _icon(self) -> Response:
        if self.logo is not None and self.logo.is_square:
            return self._logo()
        return _file(self._rendered("icon.svg"), _SVG)

    def _rendered(self, template: str) -> bytes:
        values = {"light": self.light, "dark": self.dark, "service": self.service}
        return self.templates.render(template, **values).encode()


def _file(data: bytes, mimetype: str) -> Response:
    """Answer with a file that browsers cache and revalidate."""
    response = Response(data, mimetype=mimetype)
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def _to_change_password(identity: RequestIdentity) -> Response:
    """Redirect a password manager to the page for changing the password.

    A password manager first asks without a cookie whether there is such a page, and would take a
    refusal for a no (W3C, A Well-Known URL for Changing Passwords, section 3).
    """
    cookie = identity.visitor().session
    path = "/password" if cookie is not None else "/sessions/new?next=%2Fpassword"
    return responses.as_redirect(redirects.mounted(path))
