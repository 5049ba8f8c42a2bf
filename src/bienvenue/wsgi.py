"""A plain WSGI callable for any server: `gunicorn bienvenue.wsgi:app`."""

from bienvenue.app import create_app

app = create_app()
