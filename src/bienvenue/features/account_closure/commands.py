"""The commands that close and reopen an account."""

from typing import Any

import click

from bienvenue.features.account_closure.operations import AccountClosure


@click.command("users close")
@click.argument("user")
@click.pass_obj
def close_command(service: Any, user: str) -> None:
    """Close an account for its owner, who gets an email to reopen it."""
    closed, until = service.auth.use(AccountClosure).close_for(service.caller, user)
    click.echo(f"closed {closed.email}, which is deleted at {until}")


@click.command("users reopen")
@click.argument("user")
@click.pass_obj
def reopen_command(service: Any, user: str) -> None:
    """Reopen a closed account."""
    click.echo(f"reopened {service.auth.use(AccountClosure).reopen_for(service.caller, user)}")


AccountClosure.commands = (close_command, reopen_command)
