"""Places: a bounded number of them, of which one network holds at most a share.

Who finds none waits, and when a place becomes free the networks that wait take turns.
"""

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from concurrent.futures import Future


class Places:
    """The places of one process for one kind of work; every method is safe in any thread."""

    def __init__(self, number: int, each: int) -> None:
        """Take how many there are, and how many of them one network holds at most."""
        self._number, self._each = number, each
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Future[None]]] = OrderedDict()

    def ask(self, network: str) -> "Future[None]":
        """Ask for a place: it is held once the future is done, until `leave`."""
        ticket: Future[None] = Future()
        with self._lock:
            if self._free(network) and not self._waiting.get(network):
                self._held[network] += 1
                ticket.set_result(None)
            else:
                self._waiting.setdefault(network, deque()).append(ticket)
        return ticket

    async def enter(self, network: str, patience: float | None = None) -> bool:
        """Take a place without a thread that waits; return False after `patience` seconds."""
        ticket = self.ask(network)
        if ticket.done():
            return True
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(ticket)), patience)
        except TimeoutError:
            return not self.give_up(network, ticket)
        except asyncio.CancelledError:
            if not self.give_up(network, ticket):
                self.leave(network)
            raise
        return True

    def give_up(self, network: str, ticket: "Future[None]") -> bool:
        """Stop waiting; return False when the place came in the last moment, and is held."""
        with self._lock:
            if ticket.done():
                return False
            line = self._waiting[network]
            line.remove(ticket)
            if not line:
                del self._waiting[network]
            return True

    def leave(self, network: str) -> None:
        """Give a place back, and give it to the next that may have it."""
        with self._lock:
            self._held[network] -= 1
            if not self._held[network]:
                del self._held[network]
            for waiting in list(self._waiting):
                if self._free(waiting):
                    ticket = self._waiting[waiting].popleft()
                    # Its network goes to the end of the queue, so that networks take turns.
                    self._waiting.move_to_end(waiting)
                    if not self._waiting[waiting]:
                        del self._waiting[waiting]
                    self._held[waiting] += 1
                    ticket.set_result(None)
                    return

    def _free(self, network: str) -> bool:
        return self._held.total() < self._number and self._held[network] < self._each
