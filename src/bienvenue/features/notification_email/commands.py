"""The command that shows and removes a notification email."""

from typing import Any

import click

from bienvenue.features.accounts import Accounts
from bienvenue.features.notification_email.operations import NotificationEmails


@click.command("users notification-email")
@click.argument("user")
@click.option("--remove", is_flag=True, help="Remove it, and notify both addresses.")
@click.pass_obj
def notification_email_command(service: Any, user: str, remove: bool) -> None:
    """Show the notification email of an account."""
    feature: NotificationEmails = service.auth.use(NotificationEmails)
    if remove:
        click.echo(f"removed {feature.remove_for(service.caller, user)}")
    else:
        state = feature.of(service.auth.use(Accounts).find(user).id)
        click.echo(state.email or "no notification email")


NotificationEmails.commands = (notification_email_command,)
