"""The command that changes the email of an account."""

from typing import Any

import click

from bienvenue.features.email_change.operations import EmailChange


@click.command("users email")
@click.argument("user")
@click.argument("new")
@click.option("--without-undo", is_flag=True, help="Send the old email no link that restores it.")
@click.pass_obj
def set_email(service: Any, user: str, new: str, without_undo: bool) -> None:
    """Change the email of a user at once, and notify the old one."""
    auth = service.auth
    old = auth.email_change.set(service.caller, user, new, restorable=not without_undo)
    click.echo(f"changed {old} to {auth.accounts.find(new).email}")


EmailChange.commands = (set_email,)
