"""A bookshelf in Django whose users sign in at a running service."""  # noqa: INP001 (a program by itself)

import os
import secrets
import sys

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from bienvenue.client import Client, WSGIMiddleware

url = os.environ.get("SERVICE_URL", "http://localhost:5000")

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shelf.db"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        # It reads REMOTE_USER at each request, and signs out who has none any more.
        "django.contrib.auth.middleware.RemoteUserMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
    LOGIN_URL=f"{url}/sessions/new",
)


def home(request: HttpRequest) -> JsonResponse:
    """Greet everybody."""
    user = request.META["bienvenue.user"]
    return JsonResponse({"hello": "reader" if user is None else user.email})


@login_required
def shelf(request: HttpRequest) -> JsonResponse:
    """Show the user's books; `request.user` is Django's own, named by the uid of the account."""
    user = request.META["bienvenue.user"]
    return JsonResponse({"shelf of": user.email, "user": request.user.get_username()})


urlpatterns = [path("", home), path("shelf", shelf)]
app = WSGIMiddleware(get_wsgi_application(), Client(url))

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
