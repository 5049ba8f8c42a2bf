"""Runs the console blocks of a Markdown file and compares what they print with what the file says.

In a ```` ```console ```` block a line that starts with ``$ `` is a command, lines that start with
``> `` continue it, and what follows is what it prints. ``…`` stands for anything within a line, a
line of only ``…`` for any lines. All blocks of a document run in one bash, in the order they stand.

`read_pasted` reads pages whose commands can be copied whole: a ```` ```sh ```` block is typed as it
stands, and a ```` ```text ```` block behind it is what it prints.
"""

from __future__ import annotations

import difflib
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import answers, wait_until

#: The longest a command may take, and a server may need until it answers, in seconds.
PATIENCE = 180.0

#: Gives what a command prints, or None for one that it leaves to the shell.
Instead = Callable[[str], str | None]


class Mismatch(AssertionError):
    """A document says one thing and its commands another."""


@dataclass(frozen=True)
class Step:
    """One command of a document and the lines that it is said to print."""

    where: str
    command: str
    expected: list[str] = field(default_factory=list)


def read(path: Path) -> list[Step]:
    """Return the commands in the console blocks of a Markdown file."""
    steps: list[Step] = []
    inside, first = False, 0  # inside a console block, whose commands are steps[first:]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside, first = not inside and line == "```console", len(steps)
        elif inside and line.startswith("$ "):
            steps.append(Step(f"{path}:{number}", line.removeprefix("$ ")))
        elif inside and len(steps) == first:
            raise ValueError(f"{path}:{number}: a console block begins with a command")
        elif inside and re.match(r">( |$)", line) and not steps[-1].expected:
            last = steps[-1]
            steps[-1] = Step(last.where, f"{last.command}\n{line[2:]}")
        elif inside:
            steps[-1].expected.append(line)
    if inside:
        raise ValueError(f"{path}: the last console block does not end")
    return steps


def read_pasted(path: Path) -> list[Step]:
    """Return the ```` ```sh ```` blocks of a Markdown file, and the ```` ```text ```` after each.

    A block without one prints nothing, or runs in the background.
    """
    text = path.read_text(encoding="utf-8")
    if "```console" in text:
        raise ValueError(f"{path}: a block with prompts cannot be pasted")
    found = re.finditer(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, _BLOCKS)
    return [
        Step(
            f"{path}:{text[: one.start()].count(chr(10)) + 2}", one[1].rstrip("\n"), _lines(one[2])
        )
        for one in found
    ]


_BLOCKS = re.MULTILINE | re.DOTALL


def _lines(said: str | None) -> list[str]:
    return [] if said is None else said.splitlines()


def _pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in line.split("…")) + r"\n"


def _tidy(lines: Sequence[str]) -> list[str]:
    return "\n".join(line.rstrip() for line in lines).rstrip("\n").splitlines()


def matches(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Say whether these lines were printed; blanks that end a line or the text do not count."""
    text = "".join(f"{line}\n" for line in _tidy(printed))
    return re.fullmatch("".join(map(_pattern, _tidy(expected))), text) is not None


def difference(expected: Sequence[str], printed: Sequence[str]) -> str:
    """Return a diff in which a line with ``…`` equals the printed line that it stands for."""
    expected, printed = _tidy(expected), _tidy(printed)
    for position, line in enumerate(expected):
        if "…" in line and line != "…":
            found = (said for said in printed if re.fullmatch(_pattern(line), f"{said}\n"))
            expected[position] = next(found, line)
    return "\n".join(difflib.unified_diff(expected, printed, "document", "printed", lineterm=""))


class Bash:
    """One bash whose commands each print into a file of their own, killed with all it started."""

    def __init__(self, folder: Path, env: Mapping[str, str], patience: float = PATIENCE) -> None:
        """Start it in this folder; the environment is this one and a plain PATH, HOME and LANG."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        plain = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
        self.patience = patience
        self.files = tempfile.TemporaryDirectory(prefix="transcript-")
        self.output = Path(self.files.name, "0.out")
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=plain | dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        """Kill it and everything it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.files.cleanup()

    def turn_the_page(self) -> None:
        """Let what is printed from here on go to a new file."""
        self.output = self.output.with_name(f"{int(self.output.stem) + 1}.out")
        self.output.touch()

    def run(self, command: str) -> None:
        """Run a command to its end; what it prints goes to the file ``self.output``."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.turn_the_page()
        script = self.output.with_suffix(".sh")
        script.write_text(f"{command}\n", encoding="utf-8")
        self.process.stdin.write(f". {script} </dev/null >{self.output} 2>&1; echo\n".encode())
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], self.patience)[0]:
            raise TimeoutError(f"not done after {self.patience:g} s")
        if not os.read(self.process.stdout.fileno(), 1):
            raise EOFError("the shell has ended")


def _run_step(bash: Bash, step: Step, port: int | None, instead: Instead | None = None) -> None:
    """Run one command and raise Mismatch unless it prints what is expected."""
    background = step.command.rstrip().endswith("&")

    def printed() -> list[str]:
        return bash.output.read_text(encoding="utf-8", errors="replace").splitlines()

    def as_expected() -> bool:
        # Whatever else a server says in the background is no one's business.
        return (background and not step.expected) or matches(step.expected, printed())

    wrong = ""
    if background and port and not wait_until(lambda: not answers(port), bash.patience):
        raise Mismatch(f"{step.where}: port {port} is taken\n$ {step.command}")
    try:
        said = instead(step.command) if instead else None
        if said is None:
            bash.run(step.command)
        else:
            bash.turn_the_page()
            bash.output.write_text(said, encoding="utf-8")
    except (TimeoutError, EOFError, BrokenPipeError) as error:
        wrong = str(error)
    else:
        if background and port and not wait_until(lambda: answers(port), bash.patience):
            wrong = f"nobody answers on port {port}"
        elif not wait_until(as_expected, bash.patience if background else 0):
            wrong = "prints something else"
    if wrong:
        shown = difference(step.expected, printed())
        raise Mismatch(f"{step.where}: {wrong}\n$ {step.command}\n{shown}")


def run(
    path: Path,
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    replace: Mapping[str, str] | None = None,
    before: str = "",
    port: int | None = None,
    patience: float = PATIENCE,
    instead: Instead | None = None,
    reads: Callable[[Path], list[Step]] = read,
) -> int:
    """Run a document's commands in a folder and return their number, or raise Mismatch.

    ``replace`` rewrites texts in commands and outputs alike; ``before`` is bash that runs first and
    whose output is ignored; after a command in the background the run waits until ``port`` answers;
    ``instead`` may run a command in the place of the shell, and ``reads`` finds the commands.
    """

    def rewritten(text: str) -> str:
        for old, new in (replace or {}).items():
            text = text.replace(old, new)
        return text

    steps = reads(path)
    with closing(Bash(folder, env or {}, patience)) as bash:
        if before:
            _run_step(bash, Step(f"{path}, before it", before, ["…"]), port)
        for step in steps:
            expected = [rewritten(line) for line in step.expected]
            _run_step(bash, Step(step.where, rewritten(step.command), expected), port, instead)
    return len(steps)
