"""The commands on messages."""

from email.message import EmailMessage
from typing import Any

import click

from bienvenue import clock, logs
from bienvenue.features.mail.models import Message
from bienvenue.features.mail.operations import Mail
from bienvenue.features.mail.smtp import SendProblem


def _line(message: Message) -> str:
    problem = f"  ({message.problem})" if message.problem else ""
    head = f"{message.uid}  {clock.written(message.created_at)}  {message.state:9}"
    return f"{head}  {message.kind:18}  {message.email}{problem}"


@click.group("outbox", invoke_without_command=True)
@click.pass_context
def outbox(ctx: click.Context) -> None:
    """Emails to users. Alone it lists them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command)


@outbox.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.pass_obj
def list_command(service: Any, limit: int) -> None:
    """List the newest emails: name, queued, state, kind, recipient."""
    found = service.auth.use(Mail).list(limit)
    for message in found:
        click.echo(_line(message))
    if not found:
        click.echo("no emails are stored")


def _text(message: EmailMessage) -> str:
    head = "".join(f"{name}: {message[name]}\n" for name in ("From", "To", "Subject", "Date"))
    part = message.get_body(("plain",))
    text = head + "\n" + ("" if part is None else str(part.get_content()).rstrip("\n"))
    # Emails of earlier versions hold a visitor's words, which must not move a terminal's cursor.
    return "\n".join(map(logs.printable, text.split("\n")))


@outbox.command("show")
@click.argument("name")
@click.pass_obj
def show(service: Any, name: str) -> None:
    """Print an email in full, with its link until that is used, expired or sent."""
    click.echo(_text(service.auth.use(Mail).read(name)))


@outbox.command("resend")
@click.argument("name")
@click.pass_obj
def resend(service: Any, name: str) -> None:
    """Send an email again, unless its link no longer works."""
    mail: Mail = service.auth.use(Mail)
    found = mail.resend(name)
    sends = (
        "is sent within seconds" if mail.sends_mail else "stays here: no SMTP server is configured"
    )
    click.echo(f"{found.uid} to {found.email} {sends}")


@outbox.command("withdraw")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Withdraw every email that was not sent.")
@click.pass_obj
def withdraw(service: Any, name: str | None, every: bool) -> None:
    """Withdraw an email that was not sent, with its link, so that it never is."""
    if every == (name is not None):
        raise click.UsageError("name one email, or say --all")
    click.echo(f"withdrew {service.auth.use(Mail).withdraw(name)} emails")


@outbox.command("test")
@click.argument("email")
@click.pass_obj
def test(service: Any, email: str) -> None:
    """Send a test email at once, and print the mail server."""
    mail: Mail = service.auth.use(Mail)
    if not mail.sends_mail:
        raise click.ClickException("no SMTP server is configured: set BIENVENUE_SMTP_HOST")
    try:
        click.echo(mail.test(email))
    except SendProblem as problem:
        raise click.ClickException(str(problem)) from None
    click.echo(f"it accepted an email to {email}; check whether it arrives")


Mail.commands = (outbox,)
