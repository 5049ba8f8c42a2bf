"""The commands that import and export users."""

import contextlib
import csv
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bienvenue import clock
from bienvenue.features.import_export.errors import UnreadableSource
from bienvenue.features.import_export.operations import ImportExport, LineResult, Report
from bienvenue.features.import_export.sources import (
    Columns,
    Line,
    from_csv,
    from_database,
    from_json_lines,
)

_FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_PAUSE = 5.0
"""Seconds between two lines of progress."""


# --- in -----------------------------------------------------------------------------------------


def _pairs(_ctx: object, param: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if not all(sign and name and value for name, sign, value in pairs):
        raise click.BadParameter("is written as NAME=VALUE", param_hint=param.opts[0])
    return {name: value for name, _, value in pairs}


@click.command("users import")
@click.argument("source")
@click.option("--query", metavar="SQL", help="What to read of the database that SOURCE names.")
@click.option(
    "--format", type=click.Choice(["csv", "jsonl"]), help="What SOURCE is, else by its name."
)
@click.option(
    "--rename",
    multiple=True,
    callback=_pairs,
    metavar="COLUMN=FIELD",
    help="Read a column as a field.",
)
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Leave a column out.")
@click.option(
    "--set",
    "default",
    multiple=True,
    callback=_pairs,
    metavar="FIELD=VALUE",
    help="What a field is where a line says nothing.",
)
@click.option("--dry-run", is_flag=True, help="Look at everything and write nothing.")
@click.option("--each", is_flag=True, help="Print a line for every person.")
@click.option(
    "--without-unreadable",
    is_flag=True,
    help="Make an account without a password where its hash cannot be read.",
)
@click.pass_obj
def import_command(
    service: Any,
    *,
    source: str,
    query: str | None,
    format: str | None,  # noqa: A002 (the name of the option)
    rename: Mapping[str, str],
    ignore: Sequence[str],
    default: Mapping[str, str],
    dry_run: bool,
    each: bool,
    without_unreadable: bool,
) -> None:
    """Import users from SOURCE: a file of CSV or JSON lines, - or the URL of a database.

    Write a URL with a password into a file and pass @FILE. Each line creates an account or is
    refused with a reason; importing the same source again changes nothing.
    """
    feature: ImportExport = service.auth.import_export
    columns = feature.columns(rename, ignore, default)
    progress = _Progress(each=each)
    with _lines(source, query, format, columns) as lines:
        report = feature.import_lines(
            service.caller,
            lines,
            progress.hear,
            dry_run=dry_run,
            without_unreadable=without_unreadable,
        )
    for line in _summary(report, dry_run=dry_run):
        click.echo(line)
    if report.refused:
        raise click.exceptions.Exit(1)


class _Progress:
    """Prints refused lines, and every few seconds the number of lines so far."""

    def __init__(self, *, each: bool) -> None:
        self._each = each
        self._lines = 0
        self._due = clock.now() + _PAUSE

    def hear(self, result: LineResult) -> None:
        """Print the result of a line if it matters."""
        self._lines += 1
        if result.outcome == "refused":
            whom = "" if result.email is None else f"{result.email}: "
            click.echo(f"{result.place}: {whom}{result.words}", err=True)
        elif self._each:
            click.echo(f"{result.place}: {result.email}: {result.outcome}; {result.words}")
        if clock.now() >= self._due:
            self._due = clock.now() + _PAUSE
            click.echo(f"{self._lines:,} lines so far", err=True)


def _summary(report: Report, *, dry_run: bool) -> Iterator[str]:
    created = "would be created" if dry_run else "created"
    yield (
        f"{report.lines:,} lines: {report.created:,} {created}, {report.unchanged:,} unchanged, "
        f"{report.refused:,} refused"
    )
    for words, times in report.hashes.most_common():
        yield f"{times:>9,}  {words}"
    if dry_run:
        yield "nothing was written"


@contextlib.contextmanager
def _lines(
    source: str, query: str | None, form: str | None, columns: Columns
) -> Iterator[Iterator[Line]]:
    url = _url(source)
    if (url is None) != (query is None):
        raise UnreadableSource("a URL of a database and --query go together")
    if url is not None and query is not None:
        yield from_database(url, query, columns)
        return
    form = form or _FORMATS.get(Path(source).suffix.lower())
    if form is None:
        raise UnreadableSource("say with --format whether it is csv or jsonl")
    reader = {"csv": from_csv, "jsonl": from_json_lines}[form]
    try:
        number = 0 if source == "-" else os.open(source, os.O_RDONLY)
    except OSError as error:
        raise UnreadableSource(f"{source}: {error.strerror}") from None
    with open(
        number, encoding="utf-8", errors="surrogateescape", newline="", closefd=number > 0
    ) as file:
        yield reader(file, columns)


def _url(source: str) -> str | None:
    """Return the URL that a source is, or that is in the file it names; None for any other."""
    if source.startswith("@"):
        try:
            return Path(source[1:]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise UnreadableSource(f"{source[1:]} holds no URL of a database") from None
    if "://" not in source:
        return None
    try:
        password = make_url(source).password
    except (ArgumentError, ValueError):
        raise UnreadableSource("this is no URL of a database") from None
    if password is not None:
        # Other users of the machine can read the arguments of a command.
        raise UnreadableSource("a URL with a password stands in a file: name that as @FILE")
    return source


# --- out ----------------------------------------------------------------------------------------


@click.command("users export")
@click.argument("file")
@click.option(
    "--format", type=click.Choice(["csv", "jsonl"]), help="What to write, else by the name of FILE."
)
@click.option("--with-hashes", is_flag=True, help="Write the password hashes too.")
@click.pass_obj
def export_command(
    service: Any,
    file: str,
    format: str | None,  # noqa: A002 (the name of the option)
    with_hashes: bool,
) -> None:
    """Export all users to FILE, as CSV or JSON lines; - is standard output.

    Only its owner can read the file. It appears once it is complete; no file is overwritten.
    """
    feature: ImportExport = service.auth.import_export
    form = format or _FORMATS.get(Path(file).suffix.lower())
    if form is None:
        raise UnreadableSource("say with --format whether to write csv or jsonl")
    write = {"csv": _write_csv, "jsonl": _write_json_lines}[form]
    names = [each.name for each in feature.exported(hashes=with_hashes)]
    if file == "-":
        write(sys.stdout, names, feature.export_all(service.caller, hashes=with_hashes))
        return
    with _new_file(Path(file)) as stream:
        count = write(stream, names, feature.export_all(service.caller, hashes=with_hashes))
    click.echo(
        f"{count:,} accounts in {file}, {'with' if with_hashes else 'without'} password hashes"
    )


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """Open a file that gets its name at the end of the block."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "there is a file of this name already")
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UnreadableSource(f"{path}: {error.strerror}") from None
    try:
        with open(number, "w", encoding="utf-8", newline="") as stream:  # noqa: PTH123 (a number)
            yield stream
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def _write_csv(stream: TextIO, names: list[str], users: Iterable[Mapping[str, Any]]) -> int:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    return sum(1 for user in users if writer.writerow([_cell(user[name]) for name in names]))


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _write_json_lines(stream: TextIO, names: list[str], users: Iterable[Mapping[str, Any]]) -> int:
    del names
    return sum(1 for user in users if stream.write(f"{json.dumps(user)}\n"))


ImportExport.commands = (import_command, export_command)
