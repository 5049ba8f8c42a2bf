"""The command line: `bienvenue serve`, and every operation an operator needs.

Commands call the same operations as pages. A password is typed or read from standard input and is
never an argument, which other users of the machine could see.
"""

import contextlib
import copy
import errno
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from bienvenue import checkup, claim, key_file, openapi, schema, serve, work
from bienvenue.app import all_pages
from bienvenue.auth import FEATURES, Auth, named
from bienvenue.authentication import Caller, operator
from bienvenue.db import DB, DatabaseUnavailable
from bienvenue.feature import Feature, Refusal
from bienvenue.key_ring import KeyProblem
from bienvenue.settings import PREFIX, Core, Section, Settings, SettingsProblem
from bienvenue.version import VERSION

_TROUBLE = (
    SettingsProblem,
    KeyProblem,
    schema.SchemaProblem,
    checkup.CheckupProblem,
    DatabaseUnavailable,
    Refusal,
)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What an output says that takes no more."""


def _of_output(problem: OSError | UnicodeEncodeError) -> str | None:
    """Return what is wrong with the output, in a sentence; None when that is not the problem."""
    if isinstance(problem, UnicodeEncodeError):
        taken = problem.encoding
        if taken.lower() == "utf-8":
            return None
        return f"This terminal takes {taken} only, and not all of the output: set PYTHONUTF8=1."
    if problem.errno not in _FULL or problem.filename is not None:
        return None
    return f"The output cannot be written: {problem.strerror}."


def _write_no_more() -> None:
    """Drop what waits to be written: Python tries once more at its end, and says so if it fails."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Service:
    """The settings, the database and the operations of a command, each opened on first use."""

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings of the environment. Raises SettingsProblem."""
        return Settings()

    @functools.cached_property
    def db(self) -> DB:
        """The database, of any version. Raises SettingsProblem."""
        db = DB.of(self.settings)
        claim.heed(self.settings, db.file)
        return db

    @functools.cached_property
    def auth(self) -> Auth:
        """The operations, on a database of the current version.

        Raises SettingsProblem, SchemaProblem and DatabaseUnavailable.
        """
        auth = self.require_settings()
        serve.prepare(auth)
        return auth

    @functools.cached_property
    def caller(self) -> Caller:
        """Who runs the command."""
        return operator()

    def require_settings(self) -> Auth:
        """Open the operations on a database in any state. Raises SettingsProblem."""
        auth = Auth(self.db, self.settings)
        found = claim.read(self.settings)
        if found is not None and found.database == claim.database_of(self.settings):
            # The application may name its mount in code.
            mount = found.mount or auth.registry.mount
            auth.registry.mount = f"{mount}{found.prefix}"
        return auth

    def close(self) -> None:
        """Close the connections the command opened."""
        if "db" in self.__dict__:
            self.db.close()


class ServiceInside(Service):
    """What the commands of an application use: its own settings, database and operations."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        # In the place of what would be opened on first use.
        self.__dict__ |= {"settings": auth.settings, "db": auth.registry.db}

    def require_settings(self) -> Auth:
        """Return the operations of the application, on a database in any state."""
        return self._auth


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Report a problem in one sentence, with status 1, instead of a traceback.

    Raises ClickException for a problem that the operator can solve.
    """
    try:
        yield
    except _TROUBLE as problem:
        raise click.ClickException(str(problem)) from None


class Commands(click.Group):
    """The commands of the program, with those of the features that a setting names."""

    @functools.cache  # noqa: B019 (there is one group, as long as the program runs)
    def _add_named(self) -> None:
        """Add the commands of the features that the setting `extra_features` names."""
        # A wrong setting is reported by the command that needs the settings; --help needs none.
        with contextlib.suppress(SettingsProblem):
            _collect(named(Settings()), self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        self._add_named()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, or None."""
        self._add_named()
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises ClickException for a problem that the operator can solve."""
        with reporting():
            return super().invoke(ctx)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program; an output that takes no more, or not this, is a sentence too."""
        try:
            return super().main(*args, **extra)
        except (OSError, UnicodeEncodeError) as problem:
            message = _of_output(problem)
            if message is None:
                raise
            _write_no_more()
            click.echo(f"Error: {message}", err=True)
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="%(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Register people, sign them in and out and know who they are."""
    ctx.obj = service = Service()
    ctx.call_on_close(service.close)


def _option(name: str) -> Callable[[Any], Any]:
    field = Core.model_fields[name]
    kind = field.annotation if field.annotation in {int, str} else str
    return click.option(
        f"--{name.replace('_', '-')}",
        type=kind,
        help=f"{field.description} [{PREFIX}{name.upper()}]",
    )


@main.command("serve")
@_option("host")
@_option("port")
@_option("unix_socket")
@_option("workers")
@_option("threads")
@click.option("--despite-errors", is_flag=True, help="Serve although the check-up finds errors.")
def serve_command(despite_errors: bool, **options: Any) -> None:
    """Serve on http://localhost:5000 until interrupted."""
    serve.run(options, despite_errors=despite_errors)


@main.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.pass_obj
def check_command(service: Service, as_json: bool) -> None:
    """Check the configuration; status 1 when something is an error."""
    auth = service.require_settings()
    result = checkup.run(checkup.CheckupContext(auth, service.db), slow=True)
    if as_json:
        click.echo(serve.as_text(result.document()))
    else:
        for line in result.lines():
            click.echo(line)
    if result.errors:
        raise SystemExit(1)


@main.group("keys")
def keys_group() -> None:
    """The keys that sign and encrypt; a running service sees a change within a second."""


@keys_group.command("new")
@click.argument("file", type=click.Path(path_type=Path))
def new_keys(file: Path) -> None:
    """Make a key file with its first key, for BIENVENUE_SECRET_KEY_FILE to name."""
    click.echo(f"{key_file.new(file)} is the key of {file}")


@keys_group.command("list")
@click.pass_obj
def list_keys(service: Service) -> None:
    """List the fingerprints of the keys, newest first; never a key."""
    ring = key_file.read(key_file.file_of(service.settings))
    for number, fingerprint in enumerate(ring.fingerprints()):
        use = "signs and verifies" if number == 0 else "verifies until it is retired"
        click.echo(f"{fingerprint}  {use}")
    for fingerprint, last in ring.retired():
        click.echo(f"{fingerprint}  retired: verifies the audit log up to batch {last}")


@keys_group.command("rotate")
@click.pass_obj
def rotate_keys(service: Service) -> None:
    """Make a new key that signs from now on; the older ones still verify."""
    click.echo(f"{key_file.rotate(key_file.file_of(service.settings))} signs from now on")


@keys_group.command("retire")
@click.argument("fingerprint")
@click.pass_obj
def retire_key(service: Service, fingerprint: str) -> None:
    """Retire an older key: it verifies the audit log up to now, and nothing else."""
    path = key_file.file_of(service.settings)
    if service.db.file is not None and not service.db.file.exists():
        raise KeyProblem(
            f"there is no database {service.db.file}, which tells what the key sealed: run this "
            "where you run the service"
        )
    with service.auth.audit.sealing_paused() as newest:
        key_file.retire(path, fingerprint, newest)
    click.echo(f"{fingerprint} is retired")


@main.command("work")
@click.pass_obj
def work_command(service: Service) -> None:
    """Send emails, seal the audit log and delete what has expired, until interrupted.

    `bienvenue serve` does it by itself; this is for other servers. Any number may run.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service.auth.require_schema()
    click.echo("working (stop it with Ctrl-C)")
    work.run(service.auth, stop)


@main.group()
def db() -> None:
    """The schema of the database."""


@db.command()
@click.option(
    "--beside",
    is_flag=True,
    help="Even if there are tables of another service of ours, under another prefix or schema.",
)
@click.pass_obj
def upgrade(service: Service, beside: bool) -> None:
    """Bring the database to this version's schema; harmless when it is there already."""
    found = service.require_settings().upgrade(beside=beside)
    click.echo(f"the database has version {found}")


@db.command()
@click.pass_obj
def current(service: Service) -> None:
    """Say which version the database has, which one this program needs, and where it is."""
    features = service.require_settings().registry.migrations
    found = schema.version(service.db) or "none"
    click.echo(f"{found} ({schema.state(service.db).value}; this program: {schema.newest()})")
    click.echo(f"in {claim.place_of(service.settings)}")
    behind = schema.pending(service.db, features)
    for name in features:
        click.echo(f"{name}: {'behind' if name in behind else 'current'}")


@main.command("openapi")
@click.pass_obj
def openapi_command(service: Service) -> None:
    """Print the OpenAPI document of the service."""
    auth = service.require_settings()
    click.echo(serve.as_text(openapi.document(all_pages(auth), service.settings)))


@main.command("settings")
@click.pass_obj
def settings_command(service: Service) -> None:
    """Print every setting, its value and what it is for; secrets are not shown."""
    auth = service.require_settings()
    sections: list[Section] = [service.settings.core]
    for values in sections + [feature.settings for feature in auth.features]:
        for name, field in type(values).model_fields.items():
            value = getattr(values, name)
            if isinstance(value, Path) and name.endswith("_file") and not value.exists():
                # A key may have been set in the place of its path.
                value = "(there is no such file)"
            click.echo(f"{PREFIX}{name.upper()}={'' if value is None else value}")
            click.echo(f"    {field.description}")


_GROUPS = {
    "audit": "The audit log.",
    "invitations": "Invitations to create an account.",
    "rate-limits": "Failed attempts and the limits on them.",
    "registrations": "Registrations whose email is not verified yet.",
    "users": "Accounts and their users.",
    "users groups": "The groups of accounts.",
}
"""The help texts of the groups whose commands come from features."""


def _collect(features: Iterable[type[Feature[Any]]], top: click.Group) -> None:
    """Add the commands of features to their groups: `users add` to the group `users`."""
    for feature in features:
        for command in feature.commands:
            path, _, last = str(command.name).rpartition(" ")
            parent = top if not path else _group(path, feature.__doc__ or "", top)
            parent.add_command(command, last)


def _group(path: str, help_text: str, top: click.Group) -> click.Group:
    """Return the group of a path, as `users groups`, and make it if there is none."""
    above, _, name = path.rpartition(" ")
    parent = _group(above, help_text, top) if above else top
    found = parent.commands.get(name)
    if found is None:
        found = click.Group(name, help=_GROUPS.get(path, help_text))
        parent.add_command(found)
    return found if isinstance(found, click.Group) else parent


_collect(FEATURES, main)


def commands_of(auth: Auth) -> click.Group:
    """Return the commands of a service inside an application: all but `serve`, which is another.

    Features of the application bring theirs.
    """
    top = click.Group("bienvenue")
    for name, command in main.commands.items():
        if command is not serve_command:
            top.add_command(_own(command), name)
    _collect([type(feature) for feature in auth.features], top)
    return top


def _own(command: click.Command) -> click.Command:
    """Copy a group, so that what is added to it is in no other program."""
    if isinstance(command, click.Group):
        command = copy.copy(command)
        command.commands = {name: _own(each) for name, each in command.commands.items()}
    return command
