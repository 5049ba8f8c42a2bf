"""Fires the same thing many times at once: what must happen once is seen to happen once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
#: Seconds; a busy machine may start no thread for long.
PATIENCE = 600


def race(action: Callable[[int], T], times: int = 50) -> list[T]:
    """Run an action from as many threads, all released together; give every result in order."""
    gate = threading.Barrier(times)

    def run(number: int) -> T:
        gate.wait(PATIENCE)
        return action(number)

    with ThreadPoolExecutor(times) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(run, n) for n in range(times)]]
