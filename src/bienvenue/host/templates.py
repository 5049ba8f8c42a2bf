"""What every template of a host application may use: who is signed in, forms and links of ours."""

from urllib.parse import urlencode

from flask import Flask, Response, after_this_request, request
from markupsafe import Markup

from bienvenue.host.application import dispatcher
from bienvenue.host.current import current_user, found
from bienvenue.web import body, redirects
from bienvenue.web.embedding import BLUEPRINT

#: Pages by a name that is easier to keep than their path.
_NAMED = {
    "sign_in": "/sessions/new",
    "register": "/users/new",
    "devices": "/sessions",
    "reset_password": "/reset_password",
}
#: Where the environment of a request keeps who will set the cookie of its form tokens.
_WILL_KEEP = "bienvenue.will_keep_form"


def add_names(app: Flask) -> None:
    """Add the names to the templates of an application; one that it has already stays its own."""
    for function in (account_url, form_token, sign_out_form):
        app.jinja_env.globals.setdefault(function.__name__, function)
    app.context_processor(lambda: {"current_user": current_user})


def account_url(page: str, **query: str) -> str:
    """Return the address of a page of ours, by its name or path: "profile", "sign_in", "activity".

    `query` is added to it, as `next`. Raises LookupError when no page has this name.
    """
    path = _NAMED.get(page, f"/{page.strip('/')}")
    if "GET" not in dispatcher().pages.get(path, {}):
        raise LookupError(f"the service has no page {page!r}")
    return redirects.mounted(path) + (f"?{urlencode(query)}" if query else "")


def form_token() -> str:
    """Return the token of a form, for a hidden field `form_token`. It is bound to this browser."""
    rendering = dispatcher().rendering
    token = rendering.form_token()
    if request.environ.get(_WILL_KEEP) is not rendering and request.blueprint != BLUEPRINT:
        request.environ[_WILL_KEEP] = rendering

        @after_this_request
        def keep(response: Response) -> Response:
            return rendering.with_form(response)

    return token


def sign_out_form(text: str | None = None, css_class: str = "", next: str = "") -> Markup:  # noqa: A002 (as in URLs)
    """Return a form with a button that signs out; nothing when no user is signed in.

    `text` stands on the button, by default "Sign out" in the language of the visitor; `css_class`
    is the class of the button. The browser then goes to `next`, a path of this site, by default
    to `after_sign_out` of the settings.
    """
    if found() is None:
        return Markup()
    language = dispatcher().identity.language()
    shown = text if text is not None else str(language.markup("Sign out"))
    return Markup(
        '<form method="post" action="{}"><input type="hidden" name="form_token" value="{}">'
        '<input type="hidden" name="{}" value="DELETE"><button{}>{}</button></form>'
    ).format(
        redirects.mounted("/sessions") + (f"?{urlencode({'next': next})}" if next else ""),
        form_token(),
        body.METHOD,
        Markup(' class="{}"').format(css_class) if css_class else "",
        shown,
    )
