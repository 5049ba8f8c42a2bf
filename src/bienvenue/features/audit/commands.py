"""The commands on the audit log."""

from typing import Any

import click

from bienvenue.features.audit.operations import Audit


@click.command("audit verify")
@click.option("--head", metavar="BATCH:MAC", help="A head from the log, to compare with.")
@click.pass_obj
def verify(service: Any, head: str | None) -> None:
    """Check that the audit log is as it was sealed; status 1 when it is not."""
    try:
        report = service.auth.use(Audit).verify(head)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--head") from None
    for problem in report.problems or ("The audit log is intact.",):
        click.echo(problem)
    if report.unlisted:
        click.echo(f"and {report.unlisted} more")
    click.echo(
        f"sealed: {report.rows} rows in {report.batches} batches; personal values erased: "
        f"{report.erased}; not sealed yet: {report.unsealed}"
    )
    if report.head is not None and report.problem is None:
        click.echo(f"head: {report.head}")
    click.echo(report.blind)
    if report.problem is not None:
        raise click.exceptions.Exit(1)


Audit.commands = (verify,)
