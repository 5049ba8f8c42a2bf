"""Stops `bienvenue serve` at random moments: `python -m tests.journeys.stops 1000`.

Each start has one or two processes and is stopped at a random moment between its first instruction
and a while after it answers; every second one runs beside two loops that keep the processors busy.
All must end within five seconds, with nothing left. It prints what was slowest, and its seed.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.journeys.serving import Served, answers, starting_unmeasured
from tests.ports import answers as listens
from tests.ports import wait_until

WITHIN = 5.0
"""Seconds in which each has ended; what does not end by itself is killed after twenty."""

_LOOP = "import time\nend = time.monotonic() + 120\nwhile time.monotonic() < end: pass"


class NotStopped(AssertionError):
    """One did not end, or left something behind."""


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep so many processors busy while the block runs, two minutes at most."""
    running = [subprocess.Popen([sys.executable, "-c", _LOOP]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def until_it_answers(folder: Path) -> float:
    """Give the seconds that a start takes until it answers, on this machine and now."""
    begun = time.monotonic()
    with starting_unmeasured(folder, "--workers", "2") as served:
        served.wait_for(lambda: answers(served))
        return time.monotonic() - begun


def stop_once(folder: Path, moment: float, workers: int, within: float = WITHIN) -> float:
    """Stop a start after so many seconds; give the seconds it took to end. Raises NotStopped."""
    with starting_unmeasured(folder, "--workers", str(workers)) as served:
        time.sleep(moment)
        begun = [] if served.process.poll() is not None else served.workers()
        served.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        try:
            status = served.process.wait(within)
        except subprocess.TimeoutExpired:
            raise NotStopped(f"still there after {within:.0f} s{_told(served)}") from None
        took = time.monotonic() - told
        # Before our code runs, while nothing has begun, the signal simply ends the process.
        nothing_begun = status == -signal.SIGTERM and served.log.read_text() == "" and not begun
        if status != 0 and not nothing_begun:
            raise NotStopped(f"it ended with status {status}{_told(served)}")
        if not wait_until(lambda: gone(begun), within) or listens(served.port):
            raise NotStopped(f"something of it stays{_told(served)}")
        return took


def gone(processes: list[int]) -> bool:
    """Tell whether none of these runs any more."""
    return not any(Path(f"/proc/{process}").exists() for process in processes)


def _told(served: Served) -> str:
    return f"; its log:\n{served.log.read_text()}"


def stop_often(times: int, seed: int) -> list[float]:
    """Stop so many starts; give how long each took. Raises NotStopped for the first that fails."""
    chance, took = random.Random(seed), []
    with tempfile.TemporaryDirectory() as name:
        for loops in (0, 2):
            with busy(loops):
                longest = 1.25 * until_it_answers(_folder(name))
            for number in range(times // 2):
                moment, workers = chance.uniform(0, longest), chance.choice((1, 2))
                with busy(loops):
                    try:
                        took.append(stop_once(_folder(name), moment, workers))
                    except NotStopped as problem:
                        what = f"start {number} beside {loops} busy loops, {workers} processes"
                        raise NotStopped(f"{what}, after {moment:.3f} s: {problem}") from None
    return took


def _folder(name: str) -> Path:
    return Path(tempfile.mkdtemp(dir=name))


if __name__ == "__main__":
    wanted = int(sys.argv[1])
    own = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"{wanted} starts, seed {own}", flush=True)
    all_took = stop_often(wanted, own)
    print(f"all {len(all_took)} ended; the slowest took {max(all_took):.2f} s")
