"""The whole exercise from end to end, as a browser would go through it.

Start the app with ``python app.py``, then run ``python main.py [base URL]`` in the same folder.
It is a tour of the exercise, and not a test of a service for real people's passwords.
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.cookies import SimpleCookie
from typing import NamedTuple

BASE_URL = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://localhost:5000"
EMAIL = f"learner-{uuid.uuid4().hex[:8]}@example.com"
PASSWORD = "b4l0u"
NEW_PASSWORD = "t4rt1fl3tt3"


class Answer(NamedTuple):
    """What the app said to one request."""

    status: int
    body: dict[str, str]
    session_id: str | None


class Silent(urllib.request.HTTPRedirectHandler):
    """A visitor who does not follow redirects, so that each answer is seen as it is."""

    def redirect_request(self, *_: object) -> None:
        """Go nowhere."""


def ask(method: str, path: str, session_id: str | None = None, **fields: str) -> Answer:
    """Send one request with these form fields, print it in a line, and return the answer."""
    data = urllib.parse.urlencode(fields).encode() if fields else None
    request = urllib.request.Request(BASE_URL + path, data=data, method=method)
    if session_id is not None:
        request.add_header("Cookie", f"session_id={session_id}")
    try:
        response = urllib.request.build_opener(Silent).open(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    except urllib.error.URLError:
        sys.exit(f"No app answers at {BASE_URL}. Is the app running? Start it with: python app.py")
    with response:
        text = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        cookie = SimpleCookie(response.headers.get("Set-Cookie", "")).get("session_id")
    body = json.loads(text) if is_json else {}
    print(f"{method:6} {path:15} {response.status} {json.dumps(body) if body else ''}".rstrip())
    return Answer(response.status, body, cookie.value if cookie else None)


def expect(answer: Answer, status: int, body: dict[str, str] | None = None) -> None:
    """Stop with a message unless the answer is this one."""
    assert answer.status == status, f"expected status {status}, got {answer.status}"
    if body is not None:
        assert answer.body == body, f"expected {body}, got {answer.body}"


def register_user(email: str, password: str) -> None:
    """Register once, and hear that the second time is one too many."""
    answer = ask("POST", "/users", email=email, password=password)
    expect(answer, 200, {"email": email, "message": "user created"})
    answer = ask("POST", "/users", email=email, password=password)
    expect(answer, 400, {"message": "email already registered"})


def log_in_wrong_password(email: str, password: str) -> None:
    """Try to log in with a password that is not the right one."""
    expect(ask("POST", "/sessions", email=email, password=password), 401)


def log_in(email: str, password: str) -> str:
    """Log in, and return the session id that came as a cookie."""
    answer = ask("POST", "/sessions", email=email, password=password)
    expect(answer, 200, {"email": email, "message": "logged in"})
    assert answer.session_id, "expected a cookie named session_id"
    return answer.session_id


def profile_unlogged() -> None:
    """Ask for the profile without being logged in."""
    expect(ask("GET", "/profile"), 403)


def profile_logged(session_id: str, email: str) -> None:
    """Ask for the profile with the cookie."""
    expect(ask("GET", "/profile", session_id), 200, {"email": email})


def log_out(session_id: str) -> None:
    """Log out, and find the cookie worth nothing afterwards."""
    expect(ask("DELETE", "/sessions", session_id), 302)
    expect(ask("GET", "/profile", session_id), 403)


def reset_password_token(email: str) -> str:
    """Ask for a reset token."""
    answer = ask("POST", "/reset_password", email=email)
    assert answer.status == 200, f"expected status 200, got {answer.status}"
    assert answer.body["email"] == email, f"expected the email {email}, got {answer.body}"
    return answer.body["reset_token"]


def update_password(email: str, reset_token: str, new_password: str) -> None:
    """Spend the token on a new password, and find that it works only once."""
    fields = {"email": email, "reset_token": reset_token, "new_password": new_password}
    expected = {"email": email, "message": "Password updated"}
    expect(ask("PUT", "/reset_password", **fields), 200, expected)
    expect(ask("PUT", "/reset_password", **fields), 403)


def main() -> None:
    """Go through the whole exercise."""
    register_user(EMAIL, PASSWORD)
    log_in_wrong_password(EMAIL, NEW_PASSWORD)
    profile_unlogged()
    session_id = log_in(EMAIL, PASSWORD)
    profile_logged(session_id, EMAIL)
    log_out(session_id)
    reset_token = reset_password_token(EMAIL)
    update_password(EMAIL, reset_token, NEW_PASSWORD)
    log_in_wrong_password(EMAIL, PASSWORD)
    log_in(EMAIL, NEW_PASSWORD)
    print("Everything went as it should.")


if __name__ == "__main__":
    main()
