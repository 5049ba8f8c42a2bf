"""The commands on pending registrations."""

from typing import Any

import click

from bienvenue import clock
from bienvenue.features.registration.operations import Registration


@click.command("registrations list")
@click.pass_obj
def registrations_list(service: Any) -> None:
    """List pending registrations: since, until, email."""
    found = service.auth.registration.list()
    for email, at, expires in found:
        click.echo(f"{clock.written(at)}  until {clock.written(expires)}  {email}")
    if not found:
        click.echo("no registrations are pending")


@click.command("registrations withdraw")
@click.argument("email")
@click.pass_obj
def registrations_withdraw(service: Any, email: str) -> None:
    """Withdraw the pending registrations of an email."""
    click.echo(f"withdrew {service.auth.registration.withdraw(email)} registrations")


Registration.commands = (registrations_list, registrations_withdraw)
