"""The runner of transcripts: what it accepts and refuses, and that it leaves nothing behind."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import transcript
from tests.ports import answers, free_port, wait_until

Document = Callable[[str], Path]

#: A server that answers on a port and says so.
SERVER = "python -m http.server -b 127.0.0.1"


@pytest.fixture
def document(tmp_path: Path) -> Document:
    """Return a function that writes a document whose one console block is this text."""

    def write(text: str) -> Path:
        path = tmp_path / "page.md"
        block = textwrap.dedent(text).strip("\n")
        path.write_text(f"# A page\n\n```console\n{block}\n```\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "$ echo one\none\n$ echo two\ntwo",
        "$ x=kept\n$ cd /\n$ echo $x $PWD\nkept /",
        "$ cat <<END\n> first\n>\n> third\n> END\nfirst\n\nthird",
        "$ echo the year 1984 ends\nthe year … ends",
        "$ seq 9\n1\n…\n9",
        "$ seq 2\n1\n…\n2",
        "$ printf 'carriage \\r\\n'\ncarriage",
        "$ echo to stderr >&2; false\nto stderr",
        "$ true",
        "$ cat",
    ],
)
def test_what_is_printed_as_said_passes(document: Document, tmp_path: Path, text: str) -> None:
    """One shell for the page, continued commands, and the two meanings of an ellipsis."""
    path = document(text)
    assert transcript.run(path, tmp_path) == len([c for c in text.splitlines() if c[:2] == "$ "])


@pytest.mark.parametrize(
    "text",
    [
        "$ echo one\ntwo",
        "$ echo one",
        "$ true\none",
        "$ printf '1\\n\\n2\\n'\n1\n2",
        "$ echo a.c\nabc",
        "$ echo the year 1984\nthe year … ends",
        "$ printf 'in 19\\n84\\n'\nin … 84",
        "$ seq 9\n1\n…\n8",
        "$ exit\n$ echo never",
    ],
)
def test_what_is_printed_otherwise_fails(document: Document, tmp_path: Path, text: str) -> None:
    """Every kind of difference is one."""
    with pytest.raises(transcript.Mismatch):
        transcript.run(document(text), tmp_path)


def test_a_failure_names_the_place_and_shows_both_texts(document: Document, tmp_path: Path) -> None:
    """The message has the file and line, the command, and a diff with only the wrong lines."""
    path = document("$ true\n$ seq 10 12; echo in 1984\n10\n13\n12\nin …")
    with pytest.raises(transcript.Mismatch) as failure:
        transcript.run(path, tmp_path)
    place, command, *diff = str(failure.value).splitlines()
    assert place == f"{path}:5: prints something else"
    assert command == "$ seq 10 12; echo in 1984"
    assert diff[3:] == [" 10", "-13", "+11", " 12", " in 1984"]


def test_a_block_begins_with_a_command_and_ends(document: Document, tmp_path: Path) -> None:
    """A block without a command, or without an end, is a mistake of the page."""
    path = document("output of nothing")
    with pytest.raises(ValueError, match=r"page\.md:4: a console block begins with a command"):
        transcript.run(path, tmp_path)
    path.write_text("```console\n$ true\n")
    with pytest.raises(ValueError, match="does not end"):
        transcript.run(path, tmp_path)


def test_only_console_blocks_are_run(tmp_path: Path) -> None:
    """Other blocks are for the eyes, and console blocks share one shell."""
    path = tmp_path / "page.md"
    path.write_text("```console\n$ a=1\n```\n```sh\n$ a=2\n```\n```console\n$ echo $a\n1\n```\n")
    assert [step.command for step in transcript.read(path)] == ["a=1", "echo $a"]
    assert transcript.run(path, tmp_path) == 2


def test_texts_are_replaced_and_the_environment_and_the_lines_before_are_used(
    document: Document, tmp_path: Path
) -> None:
    """A page that speaks of port 5000 can be run elsewhere, after steps that it does not show."""
    path = document("$ echo $NAME $hidden localhost:5000\nbob kept localhost:5000")
    ran = transcript.run(
        path,
        tmp_path,
        env={"NAME": "bob"},
        before="hidden=kept\necho ignored",
        replace={":5000": ":7", "localhost:7": "here"},
    )
    assert ran == 1
    with pytest.raises(transcript.Mismatch, match="echo bob kept here"):
        transcript.run(
            document("$ echo bob kept localhost\n-"), tmp_path, replace={"localhost": "here"}
        )


def test_a_server_is_waited_for_and_killed_at_the_end(document: Document, tmp_path: Path) -> None:
    """A command in the background is ready when its port answers, and dies with the page."""
    port = free_port()
    text = f"""
        $ {SERVER} 5000 2> log &
        Serving HTTP on 127.0.0.1 port 5000 …
        $ curl -s -o /dev/null -w '%{{http_code}}\\n' 127.0.0.1:5000/page.md
        200
        $ kill $!
        $ {SERVER} 5000 &
        $ curl -s -o /dev/null -w '%{{http_code}}\\n' 127.0.0.1:5000/nothing
        404
        """
    assert transcript.run(document(text), tmp_path, replace={"5000": str(port)}, port=port) == 5
    assert wait_until(lambda: not answers(port))


def test_a_server_that_never_answers_fails(document: Document, tmp_path: Path) -> None:
    """Waiting has an end, and the message says for what it waited."""
    port = free_port()
    path = document("$ echo cannot start &")
    with pytest.raises(transcript.Mismatch, match=rf"nobody answers on port {port}"):
        transcript.run(path, tmp_path, port=port, patience=0.5)


def test_a_command_that_does_not_end_is_killed(document: Document, tmp_path: Path) -> None:
    """The time of a command is bounded, and its process is gone afterwards."""
    path = document("$ echo $$ > pid; echo started; sleep 60")
    with pytest.raises(transcript.Mismatch, match=r"not done after 0\.5 s[^+]*\n(.*\n)*\+started"):
        transcript.run(path, tmp_path, patience=0.5)
    shell = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(shell, 0)


def test_a_command_can_be_run_elsewhere(document: Document, tmp_path: Path) -> None:
    """What it gives is compared as if the shell had printed it; the shell runs all others."""
    ours = {"ours": "said here\n"}.get
    assert transcript.run(document("$ ours\nsaid here\n$ echo 1\n1"), tmp_path, instead=ours) == 2
    with pytest.raises(transcript.Mismatch):
        transcript.run(document("$ ours\nsaid there"), tmp_path, instead=ours)


def test_blocks_that_are_pasted(tmp_path: Path) -> None:
    """All lines of a block are typed at once, and the block of text behind it is compared."""
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\na=1\necho $a\n```\n\n```text\n1\n```\n\n```sh\nb=2\n```\n\n"
        "```sh noexec\nexit 3\n```\n\n```sh\necho $a$b\n```\n\n```text\n12\n```\n"
    )
    assert transcript.run(page, tmp_path, reads=transcript.read_pasted) == 3
    page.write_text("```sh\necho loud\n```\n")
    with pytest.raises(transcript.Mismatch, match=r"page\.md:2"):
        transcript.run(page, tmp_path, reads=transcript.read_pasted)
    page.write_text("```console\n$ true\n```\n")
    with pytest.raises(ValueError, match="cannot be pasted"):
        transcript.read_pasted(page)
