"""The commands on access tokens."""

from typing import Any

import click

from bienvenue import clock, normalize
from bienvenue.features.access_tokens.operations import AccessTokens
from bienvenue.user import FULL_ACCESS


@click.command("tokens add")
@click.option("--user", help="The account it acts for: an email or a uid.")
@click.option(
    "--service", "service_name", help="The service it acts for, by a name of your choice."
)
@click.option("--name", required=True, help="What it is for; lists and emails show it.")
@click.option("--scope", "scopes", multiple=True, help="What it may do; as often as needed.")
@click.option("--full-access", is_flag=True, help="It may do all that a token may do.")
@click.option("--lifetime", help="How long it lives, as 90d. By default what the settings say.")
@click.pass_obj
def add(
    service: Any,
    *,
    user: str | None,
    service_name: str | None,
    name: str,
    scopes: tuple[str, ...],
    full_access: bool,
    lifetime: str | None,
) -> None:
    """Make an access token, and print it: it is never shown again.

    A service has an account of its own, made with its first token: no password, no email, no
    sessions. Its groups and its end are those of any account.
    """
    if (user is None) == (service_name is None):
        raise click.UsageError("name a user or a service")
    feature: AccessTokens = service.auth.use(AccessTokens)
    make, whose = (feature.add_for, user) if user else (feature.add_for_service, service_name)
    wanted = " ".join((*scopes, *([FULL_ACCESS] if full_access else ())))
    added = make(service.caller, str(whose), name, wanted, lifetime)
    until = clock.written(added.expires_at)
    click.echo(f"{added.name}: token {added.uid} of {added.account}, until {until}", err=True)
    click.echo(added.secret)


@click.command("tokens list")
@click.option("--user", help="Only those of this account: an email or a uid.")
@click.option("--service", "service_name", help="Only those of this service.")
@click.pass_obj
def list_command(service: Any, user: str | None, service_name: str | None) -> None:
    """List the access tokens: uid, created, last used, end, account, scopes, name."""
    if user is not None and service_name is not None:
        raise click.UsageError("name a user or a service, not both")
    feature: AccessTokens = service.auth.use(AccessTokens)
    whose = user if service_name is None else feature.account_of(service_name)
    for account, row in feature.all(whose):
        used = "never used" if row.last_used_at is None else clock.written(row.last_used_at)
        dates = f"{clock.written(row.created_at)}  {used:20}  {clock.written(row.expires_at)}"
        click.echo(f"{row.uid}  {dates}  {account}  {row.scopes.replace(' ', ',')}  {row.name}")


@click.command("tokens revoke")
@click.argument("uid")
@click.pass_obj
def revoke(service: Any, uid: str) -> None:
    """Revoke the access token of a uid; requests with it are refused from then on."""
    name = service.auth.use(AccessTokens).end_any(service.caller, normalize.text(uid, "uid"))
    click.echo(f"revoked {name}")


AccessTokens.commands = (add, list_command, revoke)
