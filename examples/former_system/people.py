"""Asks the system that the users come from, which still runs, about one email and password."""  # noqa: INP001 (a program by itself)

import json
import os
from http.client import UNAUTHORIZED
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

FORMER = os.environ.get("FORMER_URL", "http://localhost:8000")


def check(email: str, password: str) -> bool | dict[str, object]:
    """Return what the former system knows of a user whose password this is, or False."""
    form = urlencode({"email": email, "password": password}).encode()
    request = Request(f"{FORMER}/login", data=form)
    try:
        with urlopen(request, timeout=1) as answer:
            user = json.load(answer)
    except HTTPError as refused:
        if refused.code == UNAUTHORIZED:
            return False
        raise
    return {"email_verified": user["confirmed"], "groups": user["roles"]}
