"""app.py: the paths of the exercise."""

from __future__ import annotations

import contextlib
import io
import re
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from grade.case import case

if TYPE_CHECKING:
    from grade.half import Half
    from grade.seen import Client

BOB, EVE = "bob@example.com", "eve@example.com"


def registered(half: Half) -> Client:
    """Give a visitor of an app in which Bob has registered."""
    client = half.client()
    reply = client.post("/users", email=BOB, password=half.good_password)
    half.answers(reply, half.status["registered"])
    return client


def logged_in(half: Half) -> Client:
    """Give a visitor who has registered and logged in."""
    client = registered(half)
    reply = client.post("/sessions", email=BOB, password=half.good_password)
    half.answers(reply, half.status["logged_in"])
    return client


def view_of(half: Half, client: Client, method: str, path: str) -> None:
    """Let the verdict point at the function that answers this request."""
    adapter = client.app.url_map.bind("localhost")
    half.look(f"{method} {path}, and its function", "app.py", "app")
    for spelt in (path, f"{path}/"):
        with contextlib.suppress(HTTPException, RequestRedirect):
            endpoint, _ = adapter.match(spelt, method=method)
            view = client.app.view_functions[endpoint]
            half.look(half.log.call, "app.py", view.__name__)
            half.log.got = view.__name__


@case(
    7,
    en="`jsonify` turns a dictionary into a JSON answer; its one key is message.",
    fr="`jsonify` fait d'un dictionnaire une réponse JSON ; sa seule clé est message.",
)
def welcome(half: Half) -> None:
    """A single GET route ("/") that returns a JSON payload of the form."""
    half.answers(half.client().get("/"), 200, {"message": "Bienvenue"})


@case(
    7,
    en="The route is for GET alone.",
    fr="La route n'accepte que GET.",
    who="exercise",
)
def welcome_is_for_get_alone(half: Half) -> None:
    """A single GET route."""
    half.answers(half.client().post("/"), 405)


@case(
    8,
    en="`request.form` holds the fields; the answer names the email and says: user created.",
    fr="`request.form` contient les champs ; la réponse donne l'email et dit : user created.",
)
def register(half: Half) -> None:
    """The end-point should expect two form data fields: "email" and "password"."""
    client = half.client()
    reply = client.post("/users", email=BOB, password=half.good_password)
    half.answers(reply, half.status["registered"], {"email": BOB, "message": "user created"})
    half.row(BOB)


@case(
    8,
    en="`register_user` raises an exception when the email is taken: catch that one.",
    fr="`register_user` lève une exception quand l'email est déjà pris : attrapez celle-là.",
)
def register_a_taken_email(half: Half) -> None:
    """A user who already exists is caught, and the answer says so."""
    client = registered(half)
    reply = client.post("/users", email=BOB, password=half.good_password + " too")
    half.answers(reply, half.status["taken"])
    body = reply.get_json(silent=True)
    said = body.get("message") if isinstance(body, dict) else None
    half.expect(said, "email already registered", ", and its message")
    half.row(BOB)


@case(
    8,
    en="Import Auth, and make one AUTH for the whole module, outside of every function.",
    fr="Importez Auth et créez un seul AUTH pour le module, hors de toute fonction.",
    who="exercise",
)
def auth_is_made_at_the_root_of_the_module(half: Half) -> None:
    """Import the Auth object and instantiate it at the root of the module."""
    half.client()
    half.look("app.AUTH", "app.py", "AUTH")
    made = half.attribute("app", "AUTH")
    half.expect(type(made).__name__, "Auth", ", and its type")


@case(
    8,
    en="The sheet gives this function a name: users.",
    fr="L'énoncé donne un nom à cette fonction : users.",
    who="exercise",
)
def the_function_is_named_users(half: Half) -> None:
    """Define a users function that implements the POST /users route."""
    client = half.client()
    view_of(half, client, "POST", "/users")
    half.expect(half.log.got, "users")


@case(
    12,
    en="The answer does two things: its JSON names the email and says logged in, and its cookie "
    "session_id holds the new session's id.",
    fr="La réponse fait deux choses : son JSON donne l'email et dit logged in, et son cookie "
    "session_id contient l'id de la nouvelle session.",
)
def log_in(half: Half) -> None:
    """Create a new session, store the session ID as a cookie, return a JSON payload."""
    client = registered(half)
    reply = client.post("/sessions", email=BOB, password=half.good_password)
    half.answers(reply, half.status["logged_in"], {"email": BOB, "message": "logged in"})
    cookie = client.cookie()
    half.expect_that(cookie, "a cookie session_id", "no such cookie")
    half.expect_that(re.fullmatch(half.session_id, str(cookie)), "a session id", str(cookie))
    half.expect_stored(half.row(BOB)["session_id"], cookie)


@case(
    12,
    en="When `valid_login` returns False, `abort` ends the request with 401.",
    fr="Quand `valid_login` retourne False, `abort` termine la requête avec 401.",
)
def log_in_with_incorrect_information(half: Half) -> None:
    """If the login information is incorrect, respond with a 401 HTTP status."""
    client = registered(half)
    for email, password in (
        (BOB, half.good_password + "!"),
        ("unknown@example.com", half.good_password),
    ):
        reply = client.post("/sessions", email=email, password=password)
        half.answers(reply, half.status["wrong_login"])
        half.expect(client.cookie(), None, ", and the cookie session_id")


@case(
    12,
    en="The sheet gives this function a name: login.",
    fr="L'énoncé donne un nom à cette fonction : login.",
    who="exercise",
)
def the_function_is_named_login(half: Half) -> None:
    """Implement a login function to respond to the POST /sessions route."""
    client = half.client()
    view_of(half, client, "POST", "/sessions")
    half.expect(half.log.got, "login")


@case(
    15,
    en="Find the user by the cookie, end the session, and send the visitor to /.",
    fr="Trouvez l'utilisateur par le cookie, terminez la session et redirigez vers /.",
)
def log_out(half: Half) -> None:
    """DELETE /sessions ends the session, so that its cookie is worth nothing."""
    client = logged_in(half)
    cookie = str(client.cookie())
    half.answers(client.delete("/sessions"), half.status["logged_out"])
    client.set_cookie(cookie)
    half.answers(client.delete("/sessions"), half.status["not_logged_in"])


@case(
    15,
    en="Flask's `redirect` sends the visitor to the path of GET /.",
    fr="Le `redirect` de Flask renvoie le visiteur vers le chemin de GET /.",
    who="exercise",
)
def logging_out_redirects(half: Half) -> None:
    """Redirect the user to GET /."""
    reply = logged_in(half).delete("/sessions")
    half.answers(reply, half.status["logged_out"])
    half.expect_that(reply.location in {"/", "http://localhost/"}, "/", str(reply.location))
    if not half.is_mended:
        half.expect(half.row(BOB)["session_id"], None, ", and the session_id of the row")


@case(
    15,
    en="If the session belongs to no user, `abort` with 403.",
    fr="Si la session n'appartient à aucun utilisateur, appelez `abort` avec 403.",
)
def log_out_without_a_session(half: Half) -> None:
    """DELETE /sessions without a session is refused."""
    client = registered(half)
    half.answers(client.delete("/sessions"), half.status["not_logged_in"])
    client.set_cookie("00000000-0000-4000-8000-000000000000")
    half.answers(client.delete("/sessions"), half.status["not_logged_in"])


@case(
    16,
    en="The cookie names the session, the session the user, and the answer the email.",
    fr="Le cookie désigne la session, la session l'utilisateur, et la réponse l'email.",
)
def profile(half: Half) -> None:
    """GET /profile says whose session the cookie names."""
    client = logged_in(half)
    client.post("/users", email=EVE, password=half.good_password)
    reply = client.get("/profile")
    half.answers(reply, 200)
    half.expect((reply.get_json(silent=True) or {}).get("email"), BOB, ", and its email")


@case(
    16,
    en="If the session belongs to no user, `abort` with 403.",
    fr="Si la session n'appartient à aucun utilisateur, appelez `abort` avec 403.",
)
def profile_without_a_session(half: Half) -> None:
    """GET /profile without a session, or with one that never was, is refused."""
    client = registered(half)
    half.answers(client.get("/profile"), half.status["not_logged_in"])
    client.set_cookie("00000000-0000-4000-8000-000000000000")
    half.answers(client.get("/profile"), half.status["not_logged_in"])


@case(
    16,
    en="The answer holds the email and nothing else.",
    fr="La réponse contient l'email et rien d'autre.",
    who="exercise",
)
def the_profile_holds_the_email_alone(half: Half) -> None:
    """Respond with a 200 HTTP status and the following JSON payload."""
    half.answers(logged_in(half).get("/profile"), 200, {"email": BOB})


@case(
    21,
    en="Every page has its own task above; look at the request that failed here.",
    fr="Chaque page a sa tâche ci-dessus ; regardez la requête qui a échoué ici.",
    who="exercise",
)
def from_end_to_end(half: Half) -> None:
    """Register, log in, log out, reset the password and log in again, over HTTP."""
    said = io.StringIO()
    with half.served() as base_url, contextlib.redirect_stdout(said):
        half.log.call = f"main.py {base_url}"
        try:
            half.tour(base_url)
        except AssertionError as error:
            last = said.getvalue().strip().splitlines()[-1:]
            half.log.call = " ".join(last).strip() or half.log.call
            half.fail(str(error).partition(", got ")[0].removeprefix("expected "), str(error))
    half.expect(said.getvalue().splitlines()[-1:], ["Everything went as it should."])
