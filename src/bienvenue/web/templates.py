"""Templates: ours are read as they are written, whatever an application made of its own Jinja.

Other delimiters, a strict `undefined`, a sandbox or line statements are choices of the application
for its own files. So there are two environments: its own reads the files in its folders, also one
that replaces a template of ours, and a plain one reads ours. Either finds the files of the other,
so that a page of ours may extend a layout of the application.
"""

import functools
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from typing import Any

from flask import Flask, current_app
from jinja2 import BaseLoader, Environment, Template, TemplateNotFound, select_autoescape

from bienvenue.web.embedding import BLUEPRINT

#: Where a page writes what the layout must show, before it begins.
_OF_LAYOUT: dict[str, Any] = {"shows": (), "wide": False, "typing": False}


class Templates:
    """The templates of one service, in the application that it is in."""

    def render(self, name: str, **values: Any) -> str:
        """Write a file from a template below `bienvenue/`."""
        return self._template(name).render(values)

    def page(self, name: str, **values: Any) -> str:
        """Write a page: its layout may be the application's, and shows what its own pages do.

        So the context processors of the application run; what the page gives comes before theirs.
        """
        values = _OF_LAYOUT | values
        current_app.update_template_context(values)
        forms = self._template("forms.html").make_module(values)
        return self._template(name).render(values, forms=forms)

    def _template(self, name: str) -> Template:
        return self._environment.get_template(f"bienvenue/{name}")

    # Made for the first page: until then the application may configure its Jinja.
    @functools.cached_property
    def _environment(self) -> Environment:
        loader = _Loader(current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001 (a proxy's own method has the name)
        ours = loader.ours
        # The layout of an application may use these; a page of ours uses none.
        ours.globals = current_app.jinja_env.globals
        return ours


class _Loader(BaseLoader):
    """Finds a template where Flask does, and lets the environment of its owner compile it."""

    def __init__(self, app: Flask) -> None:
        """Take the application, whose Jinja is configured by now."""
        self._app = app
        self.ours = Environment(
            loader=self,
            autoescape=select_autoescape(("html", "svg")),
            auto_reload=app.jinja_env.auto_reload,
        )
        self._theirs = app.jinja_env.overlay(loader=self)

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 (the name that Jinja gives it)
    ) -> Template:
        """Return the template of a name. Raises TemplateNotFound."""
        del environment, globals
        for loader, owner in self._places():
            with suppress(TemplateNotFound):
                return loader.load(owner, name, owner.make_globals(None))
        raise TemplateNotFound(name)

    def _places(self) -> Iterator[tuple[BaseLoader, Environment]]:
        """Yield the places in Flask's order: the application's folder, then its blueprints'."""
        if self._app.jinja_loader is not None:
            yield self._app.jinja_loader, self._theirs
        for blueprint in self._app.iter_blueprints():
            if blueprint.jinja_loader is not None:
                ours = blueprint.name == BLUEPRINT
                yield blueprint.jinja_loader, self.ours if ours else self._theirs
