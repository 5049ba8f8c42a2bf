"""The commands on limits."""

from collections.abc import Iterator
from typing import Any

import click

from bienvenue import clock
from bienvenue.features.limits.operations import Limits
from bienvenue.features.limits.store import Count


def _lines(counts: list[Count]) -> Iterator[str]:
    for count in counts:
        until = f"waits until {clock.written(count.until)}" if count.until > clock.now() else ""
        yield f"{count.failures:6}  {clock.written(count.last)}  {count.kind:20}  {until}".rstrip()


@click.command("users unlock")
@click.argument("user")
@click.pass_obj
def unlock(service: Any, user: str) -> None:
    """Forget the wrong passwords tried for an account, so that it can sign in again."""
    click.echo(f"unlocked {service.auth.limits.unlock(user)}")


@click.command("limits show")
@click.argument("email_or_ip", required=False)
@click.pass_obj
def show(service: Any, email_or_ip: str | None) -> None:
    """Show the failures counted for an email or an ip, or the hundred largest counts."""
    limits: Limits = service.auth.limits
    found = limits.busy() if email_or_ip is None else limits.find(email_or_ip)
    for line in _lines(found):
        click.echo(line)
    if not found:
        click.echo("no failures are counted")


@click.command("limits clear")
@click.argument("email_or_ip")
@click.pass_obj
def clear(service: Any, email_or_ip: str) -> None:
    """Forget the failures counted for an email or an ip."""
    click.echo(f"cleared {service.auth.limits.clear(email_or_ip)} counts")


Limits.commands = (unlock, show, clear)
