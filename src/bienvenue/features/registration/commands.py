"""The commands on registrations that wait for their proof."""

from typing import Any

import click

from bienvenue import clock
from bienvenue.features.registration.operations import Registration


@click.command("registrations list")
@click.pass_obj
def registrations_list(service: Any) -> None:
    """List who registered and did not prove the email yet: since, until, email."""
    found = service.auth.registration.list()
    for email, at, expires in found:
        click.echo(f"{clock.written(at)}  until {clock.written(expires)}  {email}")
    if not found:
        click.echo("nobody is expected")


@click.command("registrations withdraw")
@click.argument("email")
@click.pass_obj
def registrations_withdraw(service: Any, email: str) -> None:
    """Forget who registered with an email and did not prove it."""
    click.echo(f"forgot {service.auth.registration.withdraw(email)} registrations")


Registration.commands = (registrations_list, registrations_withdraw)
