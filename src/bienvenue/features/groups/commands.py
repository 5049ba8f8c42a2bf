"""The commands on groups."""

from typing import Any

import click

from bienvenue.features.accounts import Accounts
from bienvenue.features.groups.operations import Groups, checked


@click.command("users groups add")
@click.argument("user")
@click.argument("group")
@click.pass_obj
def add(service: Any, user: str, group: str) -> None:
    """Add an account to a group."""
    found = service.auth.use(Groups).add(service.caller, user, group)
    click.echo(f"{found.email} is in {group}")


@click.command("users groups remove")
@click.argument("user")
@click.argument("group")
@click.pass_obj
def remove(service: Any, user: str, group: str) -> None:
    """Remove an account from a group; its open sessions lose the access at once."""
    found = service.auth.use(Groups).remove(service.caller, user, group)
    click.echo(f"{found.email} is not in {group}")


@click.command("users groups list")
@click.argument("user", required=False)
@click.option("--group", help="List the accounts of a group instead.")
@click.pass_obj
def list_command(service: Any, user: str | None, group: str | None) -> None:
    """List all groups with the number of their accounts, or the groups of one account."""
    groups: Groups = service.auth.use(Groups)
    if user is not None and group is not None:
        raise click.UsageError("name a user or a group, not both")
    if user is not None:
        found = sorted(groups.of(service.auth.use(Accounts).find(user).id))
    elif group is not None:
        found = [*groups.members(checked(group))]
    else:
        found = [f"{size:6}  {name}" for name, size in groups.sizes().items()]
    for line in found:
        click.echo(line)


Groups.commands = (add, remove, list_command)
