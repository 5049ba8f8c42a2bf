"""The commands inside an application, with its settings: `flask bienvenue users list`."""

import functools
from importlib import import_module
from typing import Any

import click
from flask import Flask

from bienvenue import claim
from bienvenue.auth import Auth


class ApplicationCommands(click.Group):
    """The group `bienvenue` of an application's own commands."""

    def __init__(self, app: Flask, auth: Auth, prefix: str) -> None:
        """Take the application, its operations and the path of its pages."""
        super().__init__(
            "bienvenue",
            help="The accounts of this application: users, emails, keys, database.",
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        self._app = app
        self._auth = auth
        self._prefix = prefix

    @functools.cached_property
    def _commands(self) -> click.Group:
        found: click.Group = self._command_line.commands_of(self._auth)
        return found

    @property
    def _command_line(self) -> Any:
        # It stands above the application, and only commands need it.
        return import_module("bienvenue.cli")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return self._commands.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, or None."""
        return self._commands.get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command in the context of the application, so that receivers of signals run in it.

        The folder it is run in belongs to the application from now on, wherever database and keys
        are: a later `bienvenue` without it begins no other database there.
        Raises ClickException for a problem that the operator can solve.
        """
        claim.stake(self._auth.settings, self._app.name, self._prefix)
        ctx.obj = self._command_line.ServiceInside(self._auth)
        with self._app.app_context(), self._command_line.reporting():
            return super().invoke(ctx)
