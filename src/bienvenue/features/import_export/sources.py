"""The sources of users: CSV, JSON lines or a query, read line by line.

However large a source is, memory holds a batch of its lines, and a line that cannot be read is
reported and skipped.
"""

import csv
import itertools
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from bienvenue import user_fields
from bienvenue.db import LOGGED_AS
from bienvenue.features.import_export.errors import UnreadableSource

LONGEST_LINE = 65_536
"""Characters of a line; a user takes a few hundred."""

_ROWS = 1000
_CUT = "the file ends in the middle of this line"
_LONG = f"has more than {LONGEST_LINE:,} characters"


@dataclass(frozen=True)
class Line:
    """The values in one place of a source, or why it cannot be read."""

    #: "line 12" or "row 12".
    place: str
    values: Mapping[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class Columns:
    """What happens to the columns of a source."""

    known: frozenset[str]
    #: The name of a field by that of a column.
    renamed: Mapping[str, str]
    ignored: frozenset[str]
    #: The value of a field that a line leaves empty.
    default: Mapping[str, str]

    def check(self, names: list[str]) -> None:
        """Raise UnreadableSource for a column that is no field, or twice one."""
        fields = [self.renamed.get(name, name) for name in names if name not in self.ignored]
        for name in [*fields, *self.default]:
            if name not in self.known:
                raise UnreadableSource(_unknown(name))
            if fields.count(name) > 1:
                raise UnreadableSource(f"two columns are {name}")
        if "email" not in fields:
            raise UnreadableSource("no column is email; call one so with --rename COLUMN=email")

    def line(self, place: str, given: Mapping[str, Any]) -> Line:
        """Return the line of these values by column."""
        values: dict[str, Any] = dict(self.default)
        for name, value in given.items():
            if name in self.ignored:
                continue
            field = self.renamed.get(name, name)
            if field not in self.known:
                return Line(place, {}, _unknown(field))
            plain = user_fields.plain(value)
            if plain is not None and plain != "":
                values[field] = plain
        return Line(place, values)


def _unknown(name: str) -> str:
    shown = name.encode("ascii", "backslashreplace").decode()[:60]
    return f"{shown} is no field; --rename {shown}=FIELD or --ignore {shown}"


# --- CSV ----------------------------------------------------------------------------------------


class _Text:
    """The lines of a text, without those that are too long, whose numbers it keeps."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.number = 0
        #: The first line of the row that is being read; 0 before that.
        self.begun = 0
        self.too_long: list[int] = []
        #: Whether the last line has no end.
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(LONGEST_LINE):
            self.number += 1
            whole = line.endswith(("\n", "\r"))
            if whole or len(line) < LONGEST_LINE:
                self.cut = not whole
                self.begun = self.begun or self.number
                yield line
            else:
                self.too_long.append(self.number)
                while line and not line.endswith(("\n", "\r")):
                    line = self._stream.readline(LONGEST_LINE)


def from_csv(stream: TextIO, columns: Columns) -> Iterator[Line]:
    """Read CSV (RFC 4180) with a line of names at its top, parted by commas, semicolons or tabs.

    Open the stream with `newline=""`. Raises UnreadableSource for names that are no fields.
    """
    lines = _Text(stream)
    top = next(iter(lines), "").removeprefix("\ufeff")
    delimiter = max(",;\t", key=top.count)
    names = next(csv.reader([top], delimiter=delimiter), [])
    columns.check(names)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begun = 0
        try:
            row = next(rows, None)
        except csv.Error as error:
            unfinished = "unexpected end" in str(error)
            yield Line(f"line {lines.begun}", {}, _CUT if unfinished else f"is not CSV: {error}")
            continue
        for number in lines.too_long:
            yield Line(f"line {number}", {}, _LONG)
        lines.too_long.clear()
        if row is None:
            return
        if row:
            yield _row(f"line {lines.begun}", row, names, columns, cut=lines.cut)


def _row(place: str, row: list[str], names: list[str], columns: Columns, *, cut: bool) -> Line:
    if cut:
        # Half a hash or half an email can look like a whole one.
        return Line(place, {}, _CUT)
    if len(row) != len(names):
        return Line(place, {}, f"has {len(row)} values for {len(names)} columns")
    return columns.line(place, dict(zip(names, row, strict=True)))


# --- JSON lines ---------------------------------------------------------------------------------


def from_json_lines(stream: TextIO, columns: Columns) -> Iterator[Line]:
    """Read one JSON object a line. A last line without an end counts if it is a whole object."""
    lines = _Text(stream)
    for line in lines:
        for number in lines.too_long:
            yield Line(f"line {number}", {}, _LONG)
        lines.too_long.clear()
        if line.strip():
            yield _object(f"line {lines.number}", line, columns, cut=lines.cut)
    for number in lines.too_long:
        yield Line(f"line {number}", {}, _LONG)


def _object(place: str, line: str, columns: Columns, *, cut: bool) -> Line:
    try:
        given = json.loads(
            line.removeprefix("\ufeff"), object_pairs_hook=_once, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        return Line(place, {}, _CUT if cut else "is not one JSON object")
    if not isinstance(given, dict):
        return Line(place, {}, "is not one JSON object")
    return columns.line(place, given)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError
    return dict(pairs)


def _no_number(_: str) -> NoReturn:
    raise ValueError


# --- a database ---------------------------------------------------------------------------------


def from_database(url: str, query: str, columns: Columns) -> Iterator[Line]:
    """Read the rows of a query, in a transaction that only reads.

    Raises UnreadableSource when the database or the query cannot be read.
    """
    try:
        engine = _engine(make_url(url))
    except (ArgumentError, ImportError):
        raise UnreadableSource("no driver is here for this URL of a database") from None
    try:
        yield from _rows_of(engine, query, columns)
    except DBAPIError as error:
        raise UnreadableSource(_first_line(error.orig)) from None
    except SQLAlchemyError as error:
        raise UnreadableSource(type(error).__name__) from None
    finally:
        engine.dispose()


def _rows_of(engine: Engine, query: str, columns: Columns) -> Iterator[Line]:
    options = {"postgresql_readonly": True} if engine.dialect.name == "postgresql" else {}
    with engine.connect() as connection:
        connection.execution_options(yield_per=_ROWS, **options)
        with connection.execute(text(query)) as found:
            if not found.returns_rows:
                raise UnreadableSource("the query gives no rows")
            names = list(found.keys())
            columns.check(names)
            for number, row in enumerate(found, 1):
                yield columns.line(f"row {number}", dict(zip(names, row, strict=True)))


def _engine(url: URL) -> Engine:
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, logging_name=LOGGED_AS)
    file = Path(str(url.database))

    def opened() -> sqlite3.Connection:
        return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)

    return create_engine(url, creator=opened, hide_parameters=True, logging_name=LOGGED_AS)


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def batches(lines: Iterator[Line], size: int) -> Iterator[list[Line]]:
    """Yield lists of at most `size` lines."""
    while batch := list(itertools.islice(lines, size)):
        yield batch


class Seen:
    """The place of each email and uid so far, in a temporary file."""

    def __init__(self) -> None:
        """Start empty; SQLite writes what its cache cannot hold to a temporary file."""
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("CREATE TABLE seen (name TEXT PRIMARY KEY, place TEXT) WITHOUT ROWID")
        self._file.execute("PRAGMA journal_mode=OFF")

    def before(self, name: str, place: str) -> str | None:
        """Return the earlier place of a name; None for a new one, which is stored."""
        with closing(self._file.cursor()) as cursor:
            cursor.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (name, place))
            if cursor.rowcount:
                return None
            return str(
                cursor.execute("SELECT place FROM seen WHERE name = ?", (name,)).fetchone()[0]
            )

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
