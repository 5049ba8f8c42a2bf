"""The commands on rate limits."""

from collections.abc import Iterator
from typing import Any

import click

from bienvenue import clock
from bienvenue.features.rate_limits.operations import RateLimits
from bienvenue.features.rate_limits.store import Count


def _lines(counts: list[Count]) -> Iterator[str]:
    for count in counts:
        until = (
            f"waits until {clock.written(count.blocked_until)}"
            if count.blocked_until > clock.now()
            else ""
        )
        last = clock.written(count.last_failed_at)
        yield f"{count.failures:6}  {last}  {count.kind:20}  {until}".rstrip()


@click.command("users unlock")
@click.argument("user")
@click.pass_obj
def unlock(service: Any, user: str) -> None:
    """Forget the wrong passwords tried for an account, so that it can be signed in to again."""
    click.echo(f"unlocked {service.auth.use(RateLimits).unlock(service.caller, user)}")


@click.command("rate-limits show")
@click.argument("email_or_ip", required=False)
@click.pass_obj
def show(service: Any, email_or_ip: str | None) -> None:
    """Show the failures counted for an email or an ip, or the hundred largest counts."""
    limits: RateLimits = service.auth.use(RateLimits)
    found = limits.busy() if email_or_ip is None else limits.find(email_or_ip)
    for line in _lines(found):
        click.echo(line)
    if not found:
        click.echo("no failures are counted")


@click.command("rate-limits clear")
@click.argument("email_or_ip")
@click.pass_obj
def clear(service: Any, email_or_ip: str) -> None:
    """Forget the failures counted for an email or an ip."""
    click.echo(f"cleared {service.auth.use(RateLimits).clear(email_or_ip)} counts")


RateLimits.commands = (unlock, show, clear)
