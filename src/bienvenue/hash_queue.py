"""The hash queue: a few threads of lower priority for bcrypt, a short queue, and fairness.

A password hash costs a quarter of a second of a processor. Without a bound, a flood of sign-ins
stops everything else; with one it stops itself. A request without a place waits a little and is
then refused with 503 and Retry-After, before any hash (ASVS 15.2.2, 2.4.1).
"""

import contextlib
import contextvars
import os
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from bienvenue.errors import Refusal
from bienvenue.places import Places

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
        self._places = Places(self.places, self.each)

    @contextlib.contextmanager
    def place(self, network: str) -> Iterator[None]:
        """Hold a place while the block runs, after a wait where that is allowed. Raises Busy."""
        if _inside.get():
            yield
            return
        ticket = self._places.ask(network)
        try:
            ticket.result(self._patience)
        except TimeoutError:
            if self._places.give_up(network, ticket):
                self._refused(network)
                raise Busy from None
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)
            self._places.leave(network)

    @contextlib.asynccontextmanager
    async def place_at_the_edge(self, network: str) -> AsyncIterator[None]:
        """Hold a place as `place` does, without holding a thread while waiting. Raises Busy."""
        if not await self._places.enter(network, WAIT):
            self._refused(network)
            raise Busy
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)
            self._places.leave(network)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a hash on one of the threads of lower priority and return its result."""
        context = contextvars.copy_context()
        return self._pool.submit(lambda: context.run(function, *args, **kwargs)).result()


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
