"""The commands on pending registrations."""

import sys
from typing import Any

import click

from bienvenue import clock
from bienvenue.features.accounts import Accounts, line
from bienvenue.features.custom_fields import CustomFields
from bienvenue.features.groups import Groups
from bienvenue.features.groups.operations import checked
from bienvenue.features.registration.operations import Registration


def _field_of(custom: CustomFields, given: str) -> tuple[str, Any]:
    """Return name and value of an option NAME=VALUE. Raises BadParameter."""
    name, _, value = given.partition("=")
    found = None if custom.declared is None else custom.declared.named(name)
    if found is None:
        known = ", ".join(each.name for each in custom.fields) or "none"
        raise click.BadParameter(f"there is no field of this name; there are: {known}")
    try:
        return name, found.read(value)
    except ValueError as problem:
        raise click.BadParameter(f"{name} {problem}") from None


@click.command("users add")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--no-password", is_flag=True, help="Create an account without a password.")
@click.option("--group", "groups", multiple=True, help="Add the account to a group; repeatable.")
@click.option("--field", "fields", multiple=True, help="NAME=VALUE of your own field; repeatable.")
@click.pass_obj
def add(
    service: Any,
    *,
    email: str,
    password_stdin: bool,
    no_password: bool,
    groups: tuple[str, ...],
    fields: tuple[str, ...],
) -> None:
    """Create an account."""
    custom: CustomFields = service.auth.use(CustomFields)
    values = dict(_field_of(custom, given) for given in fields)
    registration: Registration = service.auth.use(Registration)
    # A name that is none is refused before the account is created.
    wanted = [checked(group) for group in groups]
    if no_password:
        user = service.auth.use(Accounts).add_without_password(service.caller, email)
    elif password_stdin:
        # Some editors put a byte-order mark before the text of a file.
        typed = sys.stdin.readline().removeprefix("\ufeff").rstrip("\r\n")
        user = registration.create(service.caller, email, typed)
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        user = registration.create(service.caller, email, password)
    custom.store(user.id, values)
    for group in wanted:
        service.auth.use(Groups).add(service.caller, user.uid, group)
    click.echo(line(user))


@click.command("registrations list")
@click.pass_obj
def registrations_list(service: Any) -> None:
    """List pending registrations: since, until, email."""
    found = service.auth.use(Registration).list()
    for email, at, expires in found:
        click.echo(f"{clock.written(at)}  until {clock.written(expires)}  {email}")
    if not found:
        click.echo("no registrations are pending")


@click.command("registrations withdraw")
@click.argument("email")
@click.pass_obj
def registrations_withdraw(service: Any, email: str) -> None:
    """Withdraw the pending registrations of an email."""
    withdrawn = service.auth.use(Registration).withdraw(service.caller, email)
    click.echo(f"withdrew {withdrawn} registrations")


Registration.commands = (add, registrations_list, registrations_withdraw)
