"""The ASGI application of `bienvenue serve`: the edge and, behind it, Flask."""

from bienvenue import work
from bienvenue.app import create_app
from bienvenue.edge import Edge
from bienvenue.web.door import Door

_flask = create_app()
_door: Door = _flask.extensions["bienvenue"]

app = Edge(_flask, _door.settings.core.threads)

# In each process that serves, and not in the one that starts them: that one forks at any time, and
# what a thread of it held then would stay locked in the new process for good.
work.beside(_door.auth)
