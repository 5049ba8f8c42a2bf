"""The product's source as the rules read it: modules, what they import, their page functions."""

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "src" / "bienvenue"


@dataclass(frozen=True)
class Module:
    """One Python file of the product."""

    path: Path

    @property
    def name(self) -> str:
        """Its dotted name below the package: `features.accounts`, `web.page`, `db`."""
        parts = self.path.relative_to(PACKAGE).with_suffix("").parts
        return ".".join(part for part in parts if part != "__init__")

    @cached_property
    def tree(self) -> ast.Module:
        """What the file says."""
        return ast.parse(self.path.read_text("utf-8"))

    def imports(self, *, types: bool = False) -> set[str]:
        """Name the modules of the package it needs when it runs, wherever the import stands.

        With `types`, also those it needs for its types alone.
        """
        only_types = (
            set()
            if types
            else {
                id(node)
                for block in ast.walk(self.tree)
                if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
                for node in ast.walk(block)
            }
        )
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if id(node) in only_types:
                continue
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bienvenue"):
                base = str(node.module).removeprefix("bienvenue").strip(".")
                for alias in node.names:
                    inner = f"{base}.{alias.name}".strip(".")
                    found.add(inner if inner in NAMES else base)
        return found - {self.name}

    def pages(self) -> list[ast.FunctionDef]:
        """Give the functions that are pages: those under `@page(…)` or `@house(…)`."""
        return [
            node
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef)
            and any(
                isinstance(mark, ast.Call) and ast.unparse(mark.func) in {"page", "core"}
                for mark in node.decorator_list
            )
        ]


FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = {Module(path).name for path in FILES}
MODULES = [Module(path) for path in FILES]


def feature_names() -> list[str]:
    """Name the features: each file or folder of `features/`."""
    found = (PACKAGE / "features").iterdir()
    return sorted(path.stem for path in found if not path.name.startswith("__"))
