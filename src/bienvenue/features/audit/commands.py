"""The commands on the audit log."""

import json
from typing import Any

import click

from bienvenue import clock
from bienvenue.features.audit.models import Entry
from bienvenue.features.audit.operations import Audit


@click.command("audit verify")
@click.option("--head", metavar="BATCH:MAC", help="A head from the log, to compare with.")
@click.pass_obj
def verify(service: Any, head: str | None) -> None:
    """Check that the audit log is as it was sealed; status 1 when it is not."""
    try:
        report = service.auth.audit.verify(head)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--head") from None
    if report.problem is not None:
        click.echo(report.problem)
    else:
        click.echo("The audit log is intact.")
    click.echo(
        f"sealed: {report.rows} rows in {report.batches} batches; personal values erased: "
        f"{report.erased}; not sealed yet: {report.unsealed}"
    )
    if report.head is not None and report.problem is None:
        click.echo(f"head: {report.head}")
    click.echo(report.blind)
    if report.problem is not None:
        raise click.exceptions.Exit(1)


def _line(entry: Entry) -> str:
    who = entry.user_uid or ("-" if entry.user_id is None else f"deleted account {entry.user_id}")
    times = f" x{entry.times}" if entry.times > 1 else ""
    facts = {**entry.facts, **entry.personal}
    shown = f"  {json.dumps(facts)}" if facts else ""
    return f"{clock.written(entry.at)}  {entry.name}{times}  {who}{shown}"


@click.command("audit show")
@click.option("--user", help="Only what concerns this user; the number of a deleted account too.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def show(service: Any, user: str | None, limit: int, as_json: bool) -> None:
    """Show what happened, newest first."""
    audit: Audit = service.auth.audit
    user_id = None
    if user is not None:
        user_id = int(user) if user.isdecimal() else service.auth.accounts.find(user).id
    for entry in audit.list(user_id, limit):
        click.echo(json.dumps(_members(entry)) if as_json else _line(entry))


def _members(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "event": entry.name,
        "user": entry.user_uid,
        "user_id": entry.user_id,
        "facts": entry.facts,
        "personal": entry.personal,
        "times": entry.times,
        "batch": entry.batch,
    }


Audit.commands = (verify, show)
