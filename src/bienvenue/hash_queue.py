"""The hash queue: a few threads of lower priority for bcrypt, a short queue, and fairness.

A password hash costs a quarter of a second of a processor. Without a bound, a flood of sign-ins
stops everything else; with one it stops itself. A request without a place waits a little and is
then refused with 503 and Retry-After, before any hash (ASVS 15.2.2, 2.4.1).
"""

import asyncio
import contextlib
import contextvars
import os
import threading
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from bienvenue.errors import Refusal

WAIT = 0.8
"""Seconds to wait for a place. Without waiting, clients that never pause took half the hashing."""

_NICE = 1
"""How much lower the priority of a hashing thread is. At 3 session checks that saturate the machine
left it less than half of its rate on PostgreSQL, at 0 they waited longer in a storm
(docs/guide/bench.md).
"""

P = ParamSpec("P")
T = TypeVar("T")

_inside: ContextVar[bool] = ContextVar("inside", default=False)


class Busy(Refusal):
    """More requests at once need a hash than the queue has places for."""

    status = 503
    code = "busy"
    message = "Too many people are signing in right now. Try again in a moment."

    def __init__(self) -> None:
        """Let the client try again after a second."""
        super().__init__()
        self.retry_after = 1


class RefusalCounts:
    """Counts of requests without a place, by network, until a worker stores them.

    They stay in memory: a flood that is refused must not cost a write for each request.
    """

    _MOST = 1000

    def __init__(self) -> None:
        """Start without a count."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, network: str, times: int = 1) -> None:
        """Add to the count of a network; beyond a thousand networks, all others count as ""."""
        with self._lock:
            full = len(self._counts) >= self._MOST and network not in self._counts
            self._counts["" if full else network] += times

    def taken(self) -> Counter[str]:
        """Return the counts and start again without any."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts


class HashQueue:
    """The places of one process: one for each hashing thread, and a few for waiting.

    One network holds at most half of them, so a flood from one leaves places to the others. Waiting
    requests get a place network by network, in turn.
    """

    def __init__(
        self,
        threads: int,
        queue: int,
        refused: Callable[[str], None] = lambda _: None,
        *,
        at_the_edge: bool = False,
    ) -> None:
        """Take the number of hashing threads, and of places besides.

        `refused` is called with the network of each request without a place; it must not wait. With
        an edge in front, requests wait there, and `place` takes a place at once or raises Busy: a
        request that waited in one of the few threads of pages would delay all pages (C07).
        """
        self._refused = refused
        self._patience = 0.0 if at_the_edge else WAIT
        self.places = threads + queue
        self.each = max(threads, (self.places + 1) // 2)
        self._threads = threads
        self._start()
        _queues.add(self)

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(self._threads, "hash", initializer=_lower_priority)
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Future[None]]] = OrderedDict()

    @contextlib.contextmanager
    def place(self, network: str) -> Iterator[None]:
        """Hold a place while the block runs, after a wait where that is allowed. Raises Busy."""
        if _inside.get():
            yield
            return
        ticket = self._ask(network)
        try:
            ticket.result(self._patience)
        except TimeoutError:
            if self._give_up(network, ticket):
                self._refused(network)
                raise Busy from None
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)
            self._leave(network)

    @contextlib.asynccontextmanager
    async def place_at_the_edge(self, network: str) -> AsyncIterator[None]:
        """Hold a place as `place` does, without holding a thread while waiting. Raises Busy."""
        ticket = self._ask(network)
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(ticket)), WAIT)
        except TimeoutError:
            if self._give_up(network, ticket):
                self._refused(network)
                raise Busy from None
        except asyncio.CancelledError:
            if not self._give_up(network, ticket):
                self._leave(network)
            raise
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)
            self._leave(network)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a hash on one of the threads of lower priority and return its result."""
        context = contextvars.copy_context()
        return self._pool.submit(lambda: context.run(function, *args, **kwargs)).result()

    def _ask(self, network: str) -> "Future[None]":
        ticket: Future[None] = Future()
        with self._lock:
            if self._free(network) and not self._waiting.get(network):
                self._held[network] += 1
                ticket.set_result(None)
            else:
                self._waiting.setdefault(network, deque()).append(ticket)
        return ticket

    def _free(self, network: str) -> bool:
        return self._held.total() < self.places and self._held[network] < self.each

    def _give_up(self, network: str, ticket: "Future[None]") -> bool:
        """Stop waiting; return False when the place came in the last moment, and is held."""
        with self._lock:
            if ticket.done():
                return False
            line = self._waiting[network]
            line.remove(ticket)
            if not line:
                del self._waiting[network]
            return True

    def _leave(self, network: str) -> None:
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


#: The queues of this process. A forked process begins each again: it has none of the threads of its
#: parent, and would wait for them for ever.
_queues: "weakref.WeakSet[HashQueue]" = weakref.WeakSet()


def _after_fork() -> None:
    for queue in _queues:
        queue._start()  # noqa: SLF001 (of the class above)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _lower_priority() -> None:
    # Linux keeps a priority for each thread; elsewhere this would lower the whole process.
    if hasattr(os, "sched_getaffinity"):
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            # Below the process, which may have been started at a lower priority itself.
            lower = os.getpriority(os.PRIO_PROCESS, thread) + _NICE
            os.setpriority(os.PRIO_PROCESS, thread, lower)
