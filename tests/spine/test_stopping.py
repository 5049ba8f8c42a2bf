"""A stop is heard at any moment: in a dropped exception, during a fork, by another thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

import bienvenue
from bienvenue import stopping
from bienvenue.stopping import Stop

#: Forks with our hooks, while a hook that stands before ours sends the new process a signal.
FORKED = """\
import os, signal, sys
from types import SimpleNamespace
from bienvenue.stopping import Stop
if "{hooks}":
    os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
    Stop().pass_signals_to(SimpleNamespace(on_startup=lambda hook: hook))
else:
    os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
# What granian does with it: a note for the one process that reads it.
signal.signal(signal.SIGTERM, lambda *_: None)
child = os.fork()
if child == 0:
    # A handler that nobody reads has run by now, if it runs at all.
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.raise_signal(signal.SIGTERM)
print("the parent goes on")
"""


@pytest.mark.parametrize(
    ("hooks", "status"), [("", 7), ("ours", -signal.SIGTERM)], ids=["without", "with"]
)
def test_a_signal_to_a_process_that_is_forked_ends_it(hooks: str, status: int) -> None:
    """Without our hooks it is lost in the handlers of the parent, and the process serves on."""
    code = FORKED.format(hooks=hooks)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n")[:2] == [str(status), "the parent goes on"]


DROPPED = """\
import os, signal, sys
from bienvenue.stopping import Stop

class Dropping:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

stop = Stop()
stop.listen()
Dropping()
print("dropped", flush=True)
{next}
print("it goes on")
"""


@pytest.mark.parametrize("following", ["stop.end_if_signalled()", "import time; time.sleep(3600)"])
def test_what_was_heard_is_not_dropped_with_its_exception(following: str) -> None:
    """Python prints and drops what is raised in a callback of its own.

    Where nothing looks soon, as in a start on a busy machine, it ends all the same.
    """
    code = DROPPED.format(next=following)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "dropped\n")
    assert "SystemExit" in done.stderr


FIRST = """\
import os, signal, sys
os.getpid = lambda: {number}
sys.argv[1:] = ["--version"]

class Loading:
    def find_spec(self, name, *_):
        if name == "click":
            signal.raise_signal(signal.SIGTERM)

sys.meta_path.insert(0, Loading())
from bienvenue.__main__ import main
print("flask" in sys.modules, flush=True)
main()
"""


@pytest.mark.parametrize(("number", "status"), [(1, 143), (2, -signal.SIGTERM)])
def test_the_first_process_of_a_container_hears_a_signal_while_it_loads(
    number: int, status: int
) -> None:
    """Every other process has the default of the system; nothing large is loaded before."""
    code = FIRST.format(number=number)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (status, "False\n"), done.stderr


def test_the_status_is_that_of_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell writes it; another process keeps the handler it has."""
    ended: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    stopping.listen_as_first_process()
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(os, "_exit", ended.append)
    try:
        stopping.listen_as_first_process()
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == [143]


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    """And one that is not there is a plain mistake."""
    assert set(bienvenue.__all__) <= set(dir(bienvenue))
    assert bienvenue.__getattr__("DB") is bienvenue.DB
    with pytest.raises(AttributeError, match="has no attribute 'Database'"):
        _ = bienvenue.Database


def test_an_alarm_ends_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the status of a stop."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    numbers = (*stopping._SIGNALS, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        Stop().listen()
        signal.raise_signal(signal.SIGALRM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended == [0]


def _server() -> SimpleNamespace:
    """Give as much of granian's server as is touched, with what it was told."""
    told: list[str] = []
    server = SimpleNamespace(interrupt_signal=False, hooks=[], told=told)
    server.on_startup = server.hooks.append
    server.signal_handler_interrupt = lambda: told.append("interrupt")
    return server


@pytest.fixture
def _no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the forks of this test process alone."""
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)


@pytest.mark.usefixtures("_no_hooks")
def test_a_server_that_starts_hears_what_came_before() -> None:
    """Between the last look and its own handlers."""
    heard, other = Stop(), Stop()
    heard._received = True
    for stop, told in ((heard, ["interrupt"]), (other, [])):
        server = _server()
        stop.pass_signals_to(server)
        signal.setitimer(signal.ITIMER_REAL, 3600)
        server.hooks[0]()
        assert server.told == told
        # Its processes are ended by the server from here on.
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.usefixtures("_no_hooks")
def test_a_handler_may_set_what_its_own_thread_waits_for() -> None:
    """Also when another thread received the signal: it is heard within a turn."""
    server = _server()
    Stop().pass_signals_to(server)
    before = signal.signal(signal.SIGUSR1, lambda *_: server.main_loop_interrupt.set())
    helper = threading.Thread(target=time.sleep, args=(5 * stopping._TURN,))
    helper.start()
    try:
        assert helper.ident is not None
        signal.pthread_kill(helper.ident, signal.SIGUSR1)
        server.main_loop_interrupt.wait()
        # It stays set until it is cleared.
        server.main_loop_interrupt.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)
        helper.join()


@pytest.mark.usefixtures("_no_hooks")
def test_starting_a_process_again_forgets_no_stop() -> None:
    """The server clears what it waits for, and looks at what it heard only before."""
    server = _server()
    Stop().pass_signals_to(server)
    waited = server.main_loop_interrupt
    waited.set()
    waited.clear()
    assert waited._queue.empty()
    server.interrupt_signal = True
    waited.set()
    waited.clear()
    waited.wait()


def test_a_new_process_dies_of_signals_until_the_server_says_otherwise() -> None:
    """And it hears them: they are not held any longer."""
    before = {number: signal.getsignal(number) for number in stopping._SIGNALS}
    stopping._hold()
    try:
        stopping._reset_and_release()
        assert [signal.getsignal(number) for number in before] == [signal.SIG_DFL] * 2
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(before)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
