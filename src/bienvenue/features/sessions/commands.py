"""The commands on sessions."""

from typing import Any

import click

from bienvenue import clock
from bienvenue.feature import Reason
from bienvenue.features.accounts import Accounts
from bienvenue.features.sessions.operations import Sessions


@click.command("users sign-out")
@click.argument("user", required=False)
@click.option("--everybody", is_flag=True, help="End all sessions of all users.")
@click.pass_obj
def sign_out(service: Any, user: str | None, everybody: bool) -> None:
    """End all sessions of a user, or of all users."""
    if everybody == (user is not None):
        raise click.UsageError("name a user, or say --everybody")
    if everybody:
        click.echo(f"signed out {service.auth.use(Sessions).end_all_users(service.caller)} people")
        return
    found = service.auth.use(Accounts).find(user)
    service.auth.use(Sessions).end_all(service.caller, found.id, Reason.SIGNED_OUT_BY_ADMINISTRATOR)
    click.echo(f"signed out {found.email}")


@click.command("sweep")
@click.pass_obj
def sweep(service: Any) -> None:
    """Delete what has expired; safe at any time, several times a day by cron for instance."""
    total = 0
    while swept := service.auth.sweep(clock.now()):
        total += swept
        click.echo(f"swept {total} rows")
    click.echo("nothing is left to sweep")


Sessions.commands = (sign_out, sweep)
