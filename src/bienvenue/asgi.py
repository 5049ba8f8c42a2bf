"""The ASGI application of `bienvenue serve`: the edge and, behind it, Flask."""

from bienvenue.app import create_app
from bienvenue.edge import Edge
from bienvenue.web.door import Door

_flask = create_app()
_door: Door = _flask.extensions["bienvenue"]

app = Edge(_flask, _door.settings.core.threads)
