"""A real PgBouncer between the service and PostgreSQL."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.ports import answers, free_port, wait_until
from tools.checks import pgbouncer


@contextmanager
def pooling(url: str, folder: Path, mode: str = "transaction", **settings: str) -> Iterator[str]:
    """Run PgBouncer in front of a PostgreSQL until the block ends; give the URL to use instead.

    It has two sessions of PostgreSQL only, so clients meet in them.
    """
    program = pgbouncer()
    assert program is not None, "there is no PgBouncer: apt-get install -y pgbouncer"
    behind = make_url(url)
    port = free_port()
    given = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
        "default_pool_size": "2",
        "max_client_conn": "200",
    }
    lines = [f"{name} = {value}" for name, value in (given | settings).items()]
    database = f"* = host={behind.query['host']} user={behind.username}"
    file = folder / "pgbouncer.ini"
    file.write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]))
    # It refuses to run as root. The user of PostgreSQL may open its socket, and reads this file.
    command = [program, "/dev/stdin"]
    if os.geteuid() == 0:
        command[1:1] = ["-u", Path(str(behind.query["host"])).owner()]
    with file.open() as config, (folder / "pgbouncer.log").open("w") as log:
        process = subprocess.Popen(command, stdin=config, stdout=log, stderr=log)
    try:
        assert wait_until(lambda: answers(port), 30), (folder / "pgbouncer.log").read_text()
        yield f"postgresql://{behind.username}@127.0.0.1:{port}/{behind.database}"
    finally:
        process.terminate()
        process.wait()
