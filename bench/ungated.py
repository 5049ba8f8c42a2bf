"""The service without its gate: whoever signs in is hashed at once, in the request's thread."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import ParamSpec, TypeVar

from bienvenue.features import passwords
from bienvenue.hash_queue import HashQueue

P = ParamSpec("P")
T = TypeVar("T")


class Open(HashQueue):
    """A gate that stands open."""

    @contextlib.contextmanager
    def place(self, network: str) -> Iterator[None]:
        """Let everybody in."""
        assert network is not None
        yield

    @contextlib.asynccontextmanager
    async def place_at_the_edge(self, network: str) -> AsyncIterator[None]:
        """Let everybody in."""
        assert network is not None
        yield

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Hash here and now."""
        return function(*args, **kwargs)


vars(passwords)["HashQueue"] = Open

from bienvenue.asgi import app  # noqa: E402 (after the gate is open)

__all__ = ["app"]
