"""Makes mutants of the course, one small change each, and lists those that the grader lets through.

`python -m tests.grade.mutants` prints them, for `mutants.md`; it takes some minutes. A mutant is
graded until a case fails, beginning with the tasks of its own file.
"""

from __future__ import annotations

import ast
import logging
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from grade.cases import of_learners
from grade.inside import tried
from grade.learner import Learner
from grade.sheet import COURSE, FILES, TASKS
from tests.grade.variants import write

LIST = Path(__file__).parent / "mutants.md"
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.NotIn: ast.In,
    ast.In: ast.NotIn,
    ast.Eq: ast.NotEq,
}


@dataclass(frozen=True)
class Mutant:
    """One changed file of the course."""

    file: str
    line: int
    #: The function or class that the change stands in.
    within: str
    what: str
    source: str

    @property
    def name(self) -> str:
        """Where and what, as the list says it; lines move, so they are left out."""
        return f"{self.file} {self.within}: {self.what}"

    def write(self, folder: Path) -> Path:
        """Write the course into a folder, mutated."""
        write(folder, {})
        (folder / self.file).write_text(self.source, "utf-8")
        return folder


def mutants() -> list[Mutant]:
    """Return every mutant of the four files."""
    return [one for file in FILES for one in _of(file)]


def _of(file: str) -> Iterator[Mutant]:
    text = (COURSE / file).read_text("utf-8")
    tree = ast.parse(text)
    for index, place in enumerate(ast.walk(tree)):
        for number in _ways(place):
            changed = ast.parse(text)
            node = list(ast.walk(changed))[index]
            what = _change(changed, node, number)
            if what:
                source = ast.unparse(ast.fix_missing_locations(changed))
                line = getattr(node, "lineno", 0)
                yield Mutant(file, line, _within(tree, line), what, source + "\n")


def _ways(node: ast.AST) -> Collection[int]:
    """Give the numbers of the ways in which a node may be changed."""
    if isinstance(node, ast.If):
        return (1, 2)
    if isinstance(node, ast.Call):
        return range(len(node.keywords))
    kinds = ast.Compare | ast.Return | ast.Constant | ast.Expr | ast.Raise | ast.FunctionDef
    return (0,) if isinstance(node, kinds) else ()


def _within(tree: ast.Module, line: int) -> str:
    names = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return ".".join(names) or "the module"


def _change(tree: ast.Module, node: ast.AST, number: int) -> str:  # noqa: C901, PLR0911 (a kind each)
    """Change a node in the way of this number, and say how; nothing where there is no such way."""
    before = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
    if isinstance(node, ast.Compare) and number == 0:
        node.ops = [_OPPOSITE[type(one)]() for one in node.ops]
    elif isinstance(node, ast.If) and number in {1, 2}:
        node.test = ast.Constant(number == 1)
        return f"`if {ast.unparse(node.test)}` for `{before.splitlines()[0]}`"
    elif isinstance(node, ast.Return) and before not in {"return", "return None"} and number == 0:
        node.value = ast.Constant(None)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and number == 0:
        if _is_docstring(tree, node):
            return ""
        node.value = f"{node.value}x"
    elif isinstance(node, ast.Constant) and type(node.value) is bool and number == 0:
        node.value = not node.value
    elif isinstance(node, ast.Constant) and type(node.value) is int and number == 0:
        node.value += 1
    elif isinstance(node, ast.Call) and node.keywords and number < len(node.keywords):
        gone = node.keywords.pop(number)
        return f"`{before}` without `{gone.arg or '**'}`"
    elif isinstance(node, ast.Expr | ast.Raise) and number == 0:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return ""
        _replace(tree, node, ast.Pass())
        return f"`{before}` left out"
    elif isinstance(node, ast.FunctionDef) and node.decorator_list and number == 0:
        gone_too = ast.unparse(node.decorator_list.pop())
        return f"`@{gone_too}` left out"
    else:
        return ""
    return f"`{ast.unparse(node)}` for `{before}`"


def _is_docstring(tree: ast.Module, node: ast.Constant) -> bool:
    return any(isinstance(one, ast.Expr) and one.value is node for one in ast.walk(tree))


def _replace(tree: ast.Module, old: ast.stmt, new: ast.stmt) -> None:
    for parent in ast.walk(tree):
        for _, value in ast.iter_fields(parent):
            if isinstance(value, list) and old in value:
                value[value.index(old)] = new


def is_let_through(mutant: Mutant, folder: Path) -> bool:
    """Tell whether every task is done."""
    mutant.write(folder / "mine")
    scratch = folder / "scratch"
    scratch.mkdir()
    tasks = sorted(TASKS, key=lambda one: one.file != mutant.file)
    with Learner(folder / "mine", scratch) as half:
        for case in (case for one in tasks for case in of_learners(one.number)):
            half.fresh()
            # No mutant of the course needs the bounds of a process of its own.
            if tried(case, half) is not None:
                return False
    return True


def listed() -> dict[str, str]:
    """Return the mutants of the list, each with why it is let through."""
    found = {}
    for line in LIST.read_text("utf-8").splitlines():
        if line.startswith(("| user", "| db", "| auth", "| app")):
            name, _, why = line.strip("| ").rpartition(" | ")
            found[name.strip()] = why.strip()
    return found


def main() -> None:
    """Print every mutant that is let through."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = [one for one in mutants() if one.file in (sys.argv[1:] or FILES)]
    print(f"{len(made)} mutants", flush=True)
    for number, mutant in enumerate(made):
        with tempfile.TemporaryDirectory() as folder:
            if is_let_through(mutant, Path(folder)):
                print(f"| {mutant.name} |", flush=True)
        print(f"\r{number + 1}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
