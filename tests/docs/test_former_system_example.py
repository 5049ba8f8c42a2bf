"""The example of a former system: two processes of the service ask one that runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import EMAIL
from tests.docs.pages import TOP
from tests.journeys.serving import answers, command, starting
from tests.web.speaker import speaking, written

pytestmark = pytest.mark.slow

EXAMPLE = TOP / "examples" / "former_system"


def test_users_of_a_system_that_runs_become_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed in with the password they had there; then it may go."""

    def login(request: bytes) -> bytes:
        # The body comes with the head from such a small request, or after it.
        form = {"confirmed": True, "roles": ["staff"]}
        return written(200 if b"Content-Length" in request else 401, json.dumps(form).encode())

    with speaking(login) as former:
        monkeypatch.setenv("FORMER_URL", former.url)
        monkeypatch.setenv("PYTHONPATH", str(EXAMPLE))
        settings = {"former_system": "people:check", "former_system_until": "2126-01-01"}
        with starting(tmp_path, "--workers", "2", **settings) as served:
            served.wait_for(lambda: answers(served))
            program = served.program()
            form = {"email": EMAIL, "password": "court"}
            assert program.ask("POST", "/sessions", form).status == 200
            asked = len(former.asked)
            assert asked == 1
            assert served.program().ask("POST", "/sessions", form).status == 200
            assert len(former.asked) == asked
        shown = command(tmp_path, "users", "groups", "list", EMAIL)
        assert shown.stdout == "staff\n", shown
