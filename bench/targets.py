"""Serves one of the things that are measured: `python -m bench.targets service`."""

from __future__ import annotations

import sys

from bench.servers import THREADS
from bienvenue import serve
from bienvenue.settings import Settings


def bare_flask() -> None:
    """Serve a constant by Flask, as plainly as this server can."""
    from granian import Granian  # noqa: PLC0415 (only this target runs it by itself)
    from granian.constants import Interfaces  # noqa: PLC0415 (as above)

    core = Settings().core
    Granian(
        "bench.bare:app",
        address="127.0.0.1",
        port=core.port,
        interface=Interfaces.WSGI,
        workers=core.workers,
        blocking_threads=THREADS,
        log_enabled=False,
    ).serve()


def main(which: str) -> None:
    """Serve until told to stop."""
    if which == "flask":
        bare_flask()
    else:
        served = {
            "service": "bienvenue.asgi",
            "constant": "bench.constant",
            "ungated": "bench.ungated",
        }
        serve.run({}, despite_errors=True, target=f"{served[which]}:app")


if __name__ == "__main__":
    main(sys.argv[1])
