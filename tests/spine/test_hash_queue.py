"""The queue: bounded, fair between networks, and never held by a client that left."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bienvenue import hash_queue as module
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Event
from bienvenue.hash_queue import Busy, HashQueue, RefusalCounts
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", 0.2)


def test_no_more_places_than_there_are() -> None:
    """The one too many hears so after the wait, and nothing of it stays."""
    queue = HashQueue(1, 1)
    with queue.place("a"), queue.place("a") if queue.each > 1 else queue.place("b"):
        pass
    holding = [threading.Event() for _ in range(2)]
    done = threading.Event()

    def hold(number: int) -> None:
        with queue.place(f"network {number}"):
            holding[number].set()
            done.wait(120)

    with ThreadPoolExecutor(2) as pool:
        holders = [pool.submit(hold, number) for number in range(2)]
        assert all(event.wait(120) for event in holding)
        with pytest.raises(Busy) as refused, queue.place("network 2"):
            raise AssertionError("there was a place too many")
        assert refused.value.retry_after == 1
        done.set()
        for holder in holders:
            holder.result(120)
    with queue.place("network 2"):
        pass


def test_a_flood_from_one_network_leaves_room_for_others() -> None:
    """It holds half of the places at most, however many it asks for."""
    queue = HashQueue(2, 4)
    assert (queue.places, queue.each) == (6, 3)

    async def flood() -> str:
        async with contextmanagers(queue, "flood", 3):
            with pytest.raises(Busy):
                async with queue.place_at_the_edge("flood"):
                    pass
            async with queue.place_at_the_edge("person"):
                return "in"

    assert asyncio.run(flood()) == "in"


def contextmanagers(queue: HashQueue, network: str, times: int) -> Held:
    """Hold several places of one network."""
    return Held(queue, network, times)


class Held:
    """Several places of one network, each held by a task of its own."""

    def __init__(self, queue: HashQueue, network: str, times: int) -> None:
        """Take whose places and how many."""
        self._gate, self._network, self._times = queue, network, times

    async def __aenter__(self) -> None:
        """Take them all."""
        self._end = asyncio.Event()
        began = [asyncio.Event() for _ in range(self._times)]

        async def hold(mine: asyncio.Event) -> None:
            async with self._gate.place_at_the_edge(self._network):
                mine.set()
                await self._end.wait()

        self._tasks = [asyncio.create_task(hold(mine)) for mine in began]
        for mine in began:
            await asyncio.wait_for(mine.wait(), 5)

    async def __aexit__(self, *_: object) -> None:
        """Leave them all."""
        self._end.set()
        await asyncio.gather(*self._tasks)


def test_networks_that_wait_take_turns() -> None:
    """Anyone who came alone is let in before the second of a crowd."""
    queue = HashQueue(1, 1)
    order: list[str] = []

    async def come(network: str) -> None:
        async with queue.place_at_the_edge(network):
            order.append(network)

    async def everybody() -> None:
        async with Held(queue, "first", 1), Held(queue, "second", 1):
            crowd = [asyncio.create_task(come("crowd")) for _ in range(3)]
            await asyncio.sleep(0)
            alone = asyncio.create_task(come("alone"))
            await asyncio.sleep(0)
        await asyncio.gather(*crowd, alone)

    asyncio.run(everybody())
    assert order.index("alone") <= 1
    assert order.count("crowd") == 3


def test_anyone_who_goes_away_while_waiting_holds_nothing() -> None:
    """A cancelled wait gives its place back, even one given in the last moment."""
    queue = HashQueue(1, 1)

    async def leave() -> None:
        async with Held(queue, "a", 1), Held(queue, "b", 1):
            waiting = asyncio.create_task(come())
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with Held(queue, "c", 1), Held(queue, "d", 1):
            pass

    async def come() -> None:
        async with queue.place_at_the_edge("c"):
            raise AssertionError("there was no place")

    asyncio.run(leave())


def test_a_place_held_at_the_edge_serves_the_operation_inside() -> None:
    """The edge waits without a thread; the operation does not wait again."""
    queue = HashQueue(1, 1)

    async def inside() -> str:
        async with Held(queue, "other", 1), queue.place_at_the_edge("mine"):
            return await asyncio.to_thread(operation)

    def operation() -> str:
        with queue.place("mine"):
            return "done"

    assert asyncio.run(inside()) == "done"


def test_hashing_threads_have_a_lower_priority() -> None:
    """Checks come before hashes; the thread that asks keeps its own priority."""
    queue = HashQueue(1, 1)
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    inside = queue.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    # 19 is the lowest there is.
    assert inside == min(before + module._NICE, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_service_that_is_busy_says_so_and_counts_nothing(make_service: MakeService) -> None:
    """503 with Retry-After, for registering, signing in and changing a password."""
    service = make_service(hash_queue=1, hash_threads=1)
    mine = service.signed_in()
    queue = service.auth.passwords.hash_queue
    release = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        holders = [pool.submit(_hold, queue, name, release) for name in ("a", "b")]
        end = time.monotonic() + 5
        while queue._places._held.total() < 2 and time.monotonic() < end:
            time.sleep(0.01)
        account = {"email": EMAIL, "password": PASSPHRASE}
        change = {"old_password": PASSPHRASE, "new_password": "another passphrase, quite long"}
        answers = [
            service.client().post("/users", json=account | {"email": "amy@example.com"}),
            service.client().post("/sessions", json=account),
            mine.put("/password", json=change),
        ]
        release.set()
        for holder in holders:
            holder.result(120)
    for answer in answers:
        assert answer.json is not None
        assert (answer.status_code, answer.json["code"]) == (503, "busy")
        assert answer.headers["Retry-After"] == "1"
    assert not service.auth.rate_limits.find(EMAIL)
    assert service.client().post("/sessions", json=account).status_code == 200
    rows = [entry for entry in service.auth.audit.list() if entry.name == "hash_queue.refused"]
    # They are two when a minute ended between.
    assert sum(row.times for row in rows) == 3
    for row in rows:
        facts = {"policy": "hash_queue", "actor": "service", "channel": "worker"}
        assert (row.facts, row.personal) == (facts, {"ip": "127.0.0.1/32"})


def test_who_was_sent_away_is_written_down_by_the_work(service: Service) -> None:
    """A row for each network and minute, which counts on; the edge itself writes nothing."""
    passwords = service.auth.passwords
    for _ in range(2):
        for network in ("192.0.2.1/32", "192.0.2.1/32", "192.0.2.2/32"):
            passwords._refused.add(network)
        assert passwords.hash_queue._refused == passwords._refused.add
        service.auth.work()
    service.auth.work()
    rows = [entry for entry in service.auth.audit.list() if entry.name == "hash_queue.refused"]
    counted: dict[str, int] = {}
    for row in rows:
        counted[row.personal["ip"]] = counted.get(row.personal["ip"], 0) + row.times
    assert counted == {"192.0.2.1/32": 4, "192.0.2.2/32": 2}
    # Two, or four when a minute ended meanwhile.
    assert len(rows) in {2, 4}


def test_who_was_sent_away_while_the_database_was_away_is_written_later(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No one is lost, and no one counted twice."""
    publish, calls = service.auth.registry.publish, list[str]()

    def failing(event: Event) -> None:
        calls.append(event.name)
        if len(calls) == 2:
            raise DatabaseUnavailable
        publish(event)

    monkeypatch.setattr(service.auth.registry, "publish", failing)
    for network in ("192.0.2.1/32", "192.0.2.2/32", "192.0.2.2/32", "192.0.2.3/32"):
        service.auth.passwords._refused.add(network)
    with pytest.raises(DatabaseUnavailable):
        service.auth.passwords.work()
    service.auth.passwords.work()
    rows = [entry for entry in service.auth.audit.list() if entry.name == "hash_queue.refused"]
    assert sorted(row.times for row in rows) == [1, 1, 2]


def test_a_flood_from_everywhere_fills_no_memory() -> None:
    """Networks beyond a thousand are counted together."""
    tally = RefusalCounts()
    for number in range(1200):
        tally.add(f"network {number}")
    tally.add("network 5")
    counts = tally.taken()
    assert (len(counts), counts[""], counts["network 5"]) == (1001, 200, 2)
    assert not tally.taken()


def _hold(queue: HashQueue, network: str, release: threading.Event) -> None:
    with queue.place(network):
        release.wait(120)


class Late:
    """A queue whose places are given in the moment in which the wait for them ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take every place."""
        self.hash_queue = HashQueue(1, 0)
        self.holder = self.hash_queue._places.ask("other")
        self._give_up = self.hash_queue._places.give_up
        monkeypatch.setattr(self.hash_queue._places, "give_up", self._too_late)

    def _too_late(self, network: str, ticket: Future[None]) -> bool:
        self.hash_queue._places.leave("other")
        return self._give_up(network, ticket)


def test_a_place_given_in_the_last_moment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held although the wait was over, and it is left again."""
    late = Late(monkeypatch)
    with late.hash_queue.place("mine"):
        assert late.hash_queue._places._held == {"mine": 1}
    assert not late.hash_queue._places._held

    async def at_the_edge() -> None:
        async with late.hash_queue.place_at_the_edge("mine"):
            assert late.hash_queue._places._held == {"mine": 1}

    late = Late(monkeypatch)
    asyncio.run(at_the_edge())
    assert not late.hash_queue._places._held


def test_anyone_who_goes_away_in_the_last_moment_leaves_the_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The place that was given to no one any more is free."""

    async def leave() -> None:
        late = Late(monkeypatch)

        async def come() -> None:
            async with late.hash_queue.place_at_the_edge("mine"):
                raise AssertionError("it was cancelled before")

        waiting = asyncio.create_task(come())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not late.hash_queue._places._held

    asyncio.run(leave())


def test_one_of_several_that_wait_goes_away() -> None:
    """The others of its network still wait."""
    queue = HashQueue(1, 0)
    queue._places.ask("other")
    first, second = queue._places.ask("mine"), queue._places.ask("mine")
    assert queue._places.give_up("mine", first)
    queue._places.leave("other")
    assert second.done()


def test_where_threads_have_no_priority_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lowered, for it would be the whole process."""
    monkeypatch.delattr(os, "sched_getaffinity")
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    inside = HashQueue(1, 1).run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert inside == before
