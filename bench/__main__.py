"""`make bench`: what a session check costs, and what a storm of sign-ins does to it.

Prints figures and asserts nothing: a figure is compared with one of the same run, never with a
number of another day or machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import load, silence, storm
from bench.servers import THREADS, Server, postgresql, running, sign_in


def main() -> None:
    """Measure everything that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, interleaved (3)")
    parser.add_argument("--seconds", type=float, default=5, help="seconds of a measurement (5)")
    parser.add_argument("--storm", type=float, default=15, help="seconds of a storm (15)")
    parser.add_argument("--cost", type=int, default=12, help="cost of bcrypt (12)")
    parser.add_argument("--people", type=int, default=300, help="people to ask for (300)")
    parser.add_argument("--workers", default="2", help="processes of each service (2)")
    parser.add_argument("--port", type=int, default=5900, help="first of six ports (5900)")
    chosen = parser.parse_args()
    print(
        f"{os.cpu_count()} processors, Python {platform.python_version()}, "
        f"{chosen.workers} processes with {THREADS} threads; "
        f"{load.PROCESSES} processes here ask over {load.CONNECTIONS} connections each",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        cost = {"bcrypt_cost": str(chosen.cost), "hash_queue": "4", "workers": chosen.workers}
        # One person signs in all the time, and must not have too many sessions for the one checked.
        cost |= {"session_cap": "10000"}
        url = stack.enter_context(postgresql(folder))
        on_postgresql = {"database_url": url, "secret_key_file": str(folder / "keys")}

        def start(number: int, what: str, target: str, **settings: str) -> Server:
            return stack.enter_context(
                running(what, chosen.port + number, target, folder / str(number), **settings)
            )

        sqlite = start(0, "the service on SQLite", "service", **cost)
        shared = start(1, "the service on PostgreSQL", "service", **cost, **on_postgresql)
        constant = start(2, "a constant by the same edge", "constant", **cost)
        flask = start(3, "a constant by bare Flask", "flask", workers=chosen.workers)
        ungated = start(4, "the service without its gate", "ungated", **cost)
        for server in (sqlite, shared, ungated):
            sign_in(server)
        # A mail server that is not there: whoever asks is to notice nothing of it.
        mail = {"smtp_host": "127.0.0.1", "smtp_port": "9", "smtp_security": "none"}
        written = cost | mail | {"mail_from": "no-reply@example.org"}
        own = f"sqlite:///{folder / '5' / 'bienvenue.db'}"
        for kind, at, settings in (("SQLite", own, {}), ("PostgreSQL", url, on_postgresql)):
            given = written | settings
            with running(kind, chosen.port + 5, "service", folder / "5", **given) as quiet:
                heard = silence.listen(quiet, silence.people(at, chosen.people, chosen.cost))
            silence.report(kind, heard)
        checks([sqlite, shared, constant, flask], chosen.rounds, chosen.seconds)
        storms([sqlite, shared, ungated], chosen.storm, chosen.cost)


def checks(servers: list[Server], rounds: int, seconds: float) -> None:
    """Print how many session checks a second each answers; the rounds are interleaved."""
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    for number in range(rounds):
        # Every other round goes backwards, so that nobody is always first.
        for server in servers[:: -1 if number % 2 else 1]:
            rate = load.measure(server.port, server.check, seconds)
            rates[server.name].append(rate.each_second)
            if rate.others:
                print(f"{server.name}: {rate.others} answers were not the one expected")
    middle = {name: statistics.median(found) for name, found in rates.items()}
    *_, constant, flask = middle.values()
    print(f"\nSession checks a second, median of {rounds} rounds of {seconds:g} s")
    for name, found in rates.items():
        spread = f"[{min(found):,.0f} to {max(found):,.0f}]"
        ratios = f"{middle[name] / constant:6.2f} {middle[name] / flask:6.2f}"
        print(f"  {name:30} {middle[name]:>9,.0f}  {spread:22} {ratios}")
    print("  (the last two columns: times the edge's constant, times bare Flask's)", flush=True)


def storms(servers: list[Server], seconds: float, cost: int) -> None:
    """Print what a session check waits while many sign in, and how many of them do."""
    threads = os.cpu_count() or 1
    ceiling = storm.bare(cost, threads, min(seconds, 5))
    print(
        f"\n{storm.CLIENTS} people sign in without a pause for {seconds:g} s, and a check is asked "
        f"every {storm.EVERY * 1000:g} ms; bare bcrypt at cost {cost}: {ceiling:.2f} a second"
    )
    for server in servers:
        came = storm.rage(server, seconds)
        print(
            f"  {server.name:30} checks p50 {came.wait(50):8.1f} ms, p99 {came.wait(99):8.1f} ms, "
            f"{came.unanswered} unanswered; sign-ins {came.each_second:.2f}/s "
            f"({came.each_second / ceiling:.0%} of bare), heard {dict(sorted(came.heard.items()))}",
            flush=True,
        )
    print("\nThe same people while checks saturate the machine")
    for server in servers[:2]:
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(load.measure, server.port, server.check, seconds + 1)
            came = storm.rage(server, seconds, probe=False)
        share = came.each_second / ceiling
        print(
            f"  {server.name:30} sign-ins {came.each_second:.2f}/s ({share:.0%} of bare) "
            f"beside {beside.result().each_second:,.0f} checks/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
