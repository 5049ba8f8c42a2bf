"""The application: the paths of the exercise, then every feature's pages.

`create_app()` is the service by itself; `Bienvenue(app)` puts the same pages into a host
application, where headers, limits and the cross-site rule touch our own paths only.
"""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, ClassVar, Literal

from flask import Blueprint, Flask, Response, request
from pydantic import BaseModel, ConfigDict
from werkzeug.exceptions import BadHost, HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod

from bienvenue import claim, logs, openapi, schema
from bienvenue.app_commands import ApplicationCommands
from bienvenue.auth import Auth
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Feature, Refusal
from bienvenue.features.former_system import Vouch
from bienvenue.host import templates as host_templates
from bienvenue.host.application import dispatcher, refused
from bienvenue.settings import Settings
from bienvenue.web import embedding, outcomes, redirects, responses
from bienvenue.web.crosssite import UnknownHost
from bienvenue.web.dispatch import (
    Dispatcher,
    MethodNotAllowed,
    NotFound,
    NotReady,
    Unavailable,
    as_refusal,
)
from bienvenue.web.page import Answer, Pages, Reply

_log = logging.getLogger("bienvenue")


class Bienvenue:
    """The extension: `Bienvenue(app)`, or `Bienvenue()` and `init_app(app)` later."""

    #: Whether the application has more to do than to serve our pages.
    _in_host: ClassVar = True

    def __init__(
        self,
        app: Flask | None = None,
        url_prefix: str | None = None,
        features: Iterable[type[Feature[Any]]] = (),
        former: Vouch | None = None,
        fields: type[BaseModel] | None = None,
        **settings: Any,
    ) -> None:
        """Take an application to join, a path for our pages, and settings by name.

        The path is "/account" unless one is given; "" is the root. `features` are classes of
        features of the application; `former` is the function that asks the system its users come
        from, and `fields` a pydantic model of what it asks its users for. Settings given here come
        before those of the environment.
        """
        self._url_prefix = url_prefix
        self._features = tuple(features)
        self._former = former
        self._fields = fields
        self._given = settings
        if app is not None:
            self.init_app(app)

    def init_app(
        self,
        app: Flask,
        url_prefix: str | None = None,
        features: Iterable[type[Feature[Any]]] = (),
        **given: Any,
    ) -> Auth:
        """Join an application, under the path given here or to the constructor; return its Auth.

        `features` and settings by name are added to those of the constructor.
        Raises SettingsProblem, KeyProblem, SchemaProblem or RouteProblem, each with what to do.
        """
        prefix = embedding.plain_prefix(self._url_prefix if url_prefix is None else url_prefix)
        settings = Settings(**self._given | given)
        auth = Auth(settings=settings, features=(*self._features, *features), fields=self._fields)
        if self._former is not None:
            auth.former_system.ask_with(self._former)
        auth.signals.sender = app
        # From settings and code, never from a request: there a header could lead links elsewhere.
        auth.registry.mount = f"{settings.core.mount}{prefix}"
        dispatcher = Dispatcher(auth, settings, auth.keys)
        _require_schema(auth, dispatcher, may_wait=self._in_host)
        blueprint = Blueprint(
            embedding.BLUEPRINT,
            __name__,
            template_folder="templates",
            static_folder="static",
            static_url_path="/bienvenue/static",
            url_prefix=prefix or None,
        )
        folders = auth.registry.templates
        dispatcher.rendering.branding.open(blueprint, dispatcher.identity, folders)
        dispatcher.open(blueprint, all_pages(auth))
        blueprint.after_request(lambda made: _hardened(made, https=settings.https))
        blueprint.before_request(dispatcher.name_request)
        blueprint.after_request(dispatcher.name_answer)
        blueprint.teardown_request(lambda _: dispatcher.end_request())
        app.extensions["bienvenue"] = dispatcher
        # Our own exceptions only: any view of the host may meet them.
        app.register_error_handler(DatabaseUnavailable, _refuse)
        app.register_error_handler(Refusal, _refuse)
        host_templates.add_names(app)
        app.register_blueprint(blueprint)
        for rule in app.url_map.iter_rules():
            if rule.endpoint.startswith(f"{blueprint.name}."):
                # A redirect of the router would name the host of the request, whichever that is.
                rule.merge_slashes, rule.strict_slashes = False, rule.is_leaf
        if self._in_host:
            app.cli.add_command(ApplicationCommands(app, auth, prefix))
            if settings.key_file.parent == settings.core.instance:
                claim.stake(settings, app.name, prefix)
        embedding.check_routes(app)
        # The last of the functions that see a response, because Flask calls them from the end.
        app.after_request_funcs.setdefault(None, []).insert(0, responses.restore)
        return auth


class _Alone(Bienvenue):
    """The service by itself, which has nothing to serve while its database is not migrated."""

    _in_host: ClassVar = False


def create_app(**settings: Any) -> Flask:
    """Make the service as one application, from the environment and settings given by name.

    It opens the database and does not migrate it. Raises SettingsProblem, KeyProblem or
    SchemaProblem, each with what to do.
    """
    app = Flask("bienvenue", static_folder=None, template_folder=None)
    auth = _Alone(**settings).init_app(app, url_prefix="")
    app.register_error_handler(HTTPException, _refuse_unrouted)
    app.after_request(lambda made: responses.harden(made, https=auth.settings.https))
    dispatcher: Dispatcher = app.extensions["bienvenue"]
    app.before_request(dispatcher.name_request)
    app.after_request(dispatcher.name_answer)
    app.teardown_request(lambda _: dispatcher.end_request())
    return app


def all_pages(auth: Auth) -> list[Any]:
    """Return the pages of the service itself, then those of every feature in order."""
    features = [page for feature in auth.features for page in getattr(feature, "pages", ())]
    return [auth.custom_fields.page_of(page) for page in [*core, *features]]


def _require_schema(auth: Auth, dispatcher: Dispatcher, *, may_wait: bool) -> None:
    """Raise SchemaProblem, or let every request check again where it may wait for a migration."""
    try:
        auth.require_schema()
    except schema.SchemaProblem as problem:
        if not may_wait or not isinstance(problem, schema.NotMigrated):
            auth.close()
            raise
        dispatcher.readiness.check_first(lambda: _require_migrated(auth))
    except DatabaseUnavailable as error:
        # A node that starts while the database is away answers 503 and recovers by itself.
        _log.warning("the database cannot answer yet: %s", error)


def _require_migrated(auth: Auth) -> None:
    try:
        auth.require_schema()
    except schema.NotMigrated as problem:
        # What is logged; the answer says the same in other words.
        reason = f"{problem} (inside an application: `flask bienvenue db upgrade`)"
        raise schema.DatabaseNotReady(reason) from None


def _hardened(made: Response, *, https: bool) -> Response:
    made = responses.harden(made, https=https)
    # A function of the application may have answered before us; then the headers are its own.
    return responses.keep(made) if logs.KEY in request.environ else made


def _refuse(error: Exception) -> Response:
    return refused(as_refusal(error))


def _refuse_unrouted(error: HTTPException) -> Response:
    service = dispatcher()
    if isinstance(error, BadHost):
        # No router takes a request whose host is no name at all.
        refusal: Refusal = UnknownHost()
    elif isinstance(error, WrongMethod):
        refusal = MethodNotAllowed(service.methods_of(request))
    else:
        refusal = NotFound() if error.code == HTTPStatus.NOT_FOUND else as_refusal(error)
    return service.rendering.refusal(refusal)


# --- the pages of the service itself ------------------------------------------------------------

core = Pages()


class Welcome(Reply):
    """The answer of the exercise's first page."""

    message: Literal["Bienvenue"] = "Bienvenue"


class Health(Reply):
    """The state of the service."""

    status: Literal["ok"] = "ok"


class Document(Reply):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")


class Outcome(Reply):
    """What came of a form, as its page shows it."""

    model_config = ConfigDict(extra="allow")


class DiskFull(Refusal):
    """The disk of the database is full."""

    status = 503
    code = "disk_full"
    message = "The disk of the database is full."

    def __init__(self) -> None:
        """Let the client try again after 5 seconds: an operator has to make room."""
        super().__init__()
        self.retry_after = 5


@core("GET /", returns={200: Welcome}, public=True)
def welcome() -> Answer:
    """Welcome a visitor."""
    return Answer(Welcome(), template="welcome.html")


@core("GET /healthz", returns={200: Health}, public=True, any_host=True)
def healthz() -> Answer:
    """Tell that the process answers, without asking the database."""
    return Answer(Health())


@core(
    "GET /readyz",
    returns={200: Health},
    errors=(NotReady, DiskFull, Unavailable),
    public=True,
    any_host=True,
)
def readyz() -> Answer:
    """Tell that the database answers, has the schema of this version and can store changes."""
    try:
        dispatcher().auth.require_schema()
    except schema.MigratedFurther:
        # This process started on its own schema, so the fleet is being upgraded, and what the next
        # release may do to the schema leaves this one working.
        pass
    except schema.SchemaProblem:
        raise NotReady from None
    if not dispatcher().auth.can_store():
        raise DiskFull
    return Answer(Health())


@core(
    f"GET {outcomes.PATH}/<name>",
    returns={200: Outcome},
    errors=(outcomes.OutcomeOver,),
    public=True,
)
def outcome(name: str) -> Answer:
    """Show a browser what came of the form it sent."""
    service = dispatcher()
    return outcomes.shown(request, service.keys, service.settings, name, Outcome)


@core("GET /openapi.json", returns={200: Document}, public=True, json_only=True)
def openapi_document() -> Answer:
    """Return the OpenAPI document of every path."""
    service = dispatcher()
    if service.document is None:
        # Making it takes 30 ms, and anyone may ask for it as often as they like (C18).
        service.document = openapi.document(all_pages(service.auth), service.settings)
    servers = openapi.servers(service.settings, redirects.mounted(""))
    return Answer(Document.model_validate(service.document | {"servers": servers}))
