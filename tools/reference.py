"""Make the API reference, docs/reference, of the docstrings: `make docs`.

It reads the source and runs none of it, so that a signature is what is written there. A public name
without a docstring, and a name that is listed here and no longer there, is a warning, and any
warning ends it with status 1.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PACKAGE = TOP / "src" / "bienvenue"
REFERENCE = TOP / "docs" / "reference"
MADE = "<!-- `make docs` writes this page of the docstrings. -->\n\n"

#: What an application imports: under which heading, from where, and the names.
APPLICATION: list[tuple[str, str, str, list[str]]] = [
    ("The extension", "bienvenue", "app.py", ["Bienvenue", "create_app"]),
    ("The user of a request", "bienvenue", "host/current.py", ["current_user"]),
    ("", "what `current_user` is", "host/current.py", ["CurrentUser", "AnonymousUser"]),
    (
        "Guards",
        "bienvenue",
        "host/guards.py",
        [
            "login_required",
            "reauthentication_required",
            "groups_required",
            "scopes_required",
            "form_token_required",
        ],
    ),
    (
        "Signing in and out",
        "bienvenue",
        "host/sign_in.py",
        ["login_user", "logout_user", "return_to"],
    ),
    (
        "In templates",
        "in every template of the application",
        "host/templates.py",
        ["account_url", "form_token", "sign_out_form"],
    ),
    (
        "Signals",
        "bienvenue.signals",
        "signals.py",
        [
            "user_registered",
            "email_verified",
            "user_signed_in",
            "user_signed_out",
            "email_changed",
            "password_changed",
            "account_closed",
            "account_deleted",
        ],
    ),
    (
        "Applications of any framework",
        "bienvenue.client",
        "client.py",
        ["Client", "WSGIMiddleware", "ASGIMiddleware", "SignedInUser", "ServiceAway"],
    ),
    (
        "Tests of an application",
        "bienvenue.testing",
        "testing.py",
        ["bienvenue_database", "signed_in", "submit", "outbox", "Outbox", "text_of"],
    ),
    ("The exercise's classes", "bienvenue", "auth.py", ["Auth"]),
    ("", "bienvenue", "db.py", ["DB"]),
    ("", "bienvenue", "user.py", ["User"]),
    ("Features of your own", "bienvenue.feature", "feature.py", ["Feature"]),
    ("", "bienvenue.authentication", "authentication.py", ["Caller", "Authentication"]),
    ("", "bienvenue.errors", "errors.py", ["Refusal"]),
    ("", "bienvenue.web.page", "web/page.py", ["Pages", "Page", "Answer", "Form", "Reply"]),
    ("", "bienvenue.finding", "finding.py", ["Check", "Severity"]),
]

OF_APPLICATION = """\
What an application imports. The guides say how it is used: [inside a Flask
application](../guide/embedding.md), [protecting your views](../guide/protect-your-views.md),
[signals](../guide/signals.md), [tests](../guide/testing-your-application.md), [any
framework](../guide/any-framework.md). A refusal is named by its class; its code is on the page of
its [feature](../README.md).
"""
OF_OPERATIONS = """\
What pages and commands call, and code of an application may, as
`app.extensions["bienvenue"].auth.accounts.find(email)`. Those that change something take the
[caller](application.md#caller) first: `CODE` of `bienvenue.authentication` for code that acts by
itself. Times are seconds since 1970 in UTC, durations are seconds.
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Source:
    """One module, and the comments that describe its variables."""

    path: Path

    def __post_init__(self) -> None:
        """Read it."""
        text = self.path.read_text("utf-8")
        self.lines = text.splitlines()
        self.body = ast.parse(text).body

    def find(self, name: str) -> list[ast.stmt]:
        """Return the definitions of a name at the top of the module, overloads included."""
        return [one for one in self.body if _name(one) == name]

    def comment(self, statement: ast.stmt) -> str:
        """Return the comment `#:` above a statement."""
        found: list[str] = []
        for line in reversed(self.lines[: statement.lineno - 1]):
            if not line.strip().startswith("#:"):
                break
            found.insert(0, line.strip().removeprefix("#:").strip())
        return " ".join(found)


class Reference:
    """The pages, and what is wrong with what they are made of."""

    def __init__(self) -> None:
        """Begin without a warning."""
        self.warnings: list[str] = []

    def pages(self) -> dict[str, str]:
        """Return the text of each page by its name."""
        return {"application.md": self._application(), "operations.md": self._operations()}

    def _application(self) -> str:
        written = [
            MADE + "# Names for an application\n",
            OF_APPLICATION,
        ]
        for heading, module, file, names in APPLICATION:
            if heading:
                written.append(f"## {heading}\n")
            source = Source(PACKAGE / file)
            for name in names:
                where = f"from `{module}`" if module.startswith("bienvenue") else module
                written += self._entry(source, name, where, level=3)
        return "\n".join(written)

    def _operations(self) -> str:
        written = [
            MADE + "# Operations\n",
            OF_OPERATIONS,
        ]
        auth = Source(PACKAGE / "auth.py")
        (listed,) = auth.find("FEATURES")
        value = listed.value if isinstance(listed, ast.AnnAssign) else None
        names = [one.id for one in getattr(value, "elts", ())]
        (hooks,) = Source(PACKAGE / "feature.py").find("Feature")
        inherited = {_name(one) for one in getattr(hooks, "body", ())}
        classes = {name: path for path in sorted(self._features()) for name in _classes(path)}
        for name in names:
            source = Source(classes[name])
            (found,) = source.find(name)
            if isinstance(found, ast.ClassDef):
                attribute = _attribute(found)
                written += [f"## {attribute}\n", f"`auth.{attribute}`: {_first(found)}\n"]
                written += self._members(source, found, level=3, without=inherited)
        return "\n".join(written)

    @staticmethod
    def _features() -> Iterator[Path]:
        yield from (PACKAGE / "features").glob("*.py")
        yield from (PACKAGE / "features").glob("*/operations.py")

    def _entry(self, source: Source, name: str, where: str, level: int) -> Iterator[str]:
        """Write a function, a class with what is public in it, or a variable."""
        found = source.find(name)
        if not found:
            self.warnings.append(f"{source.path}: there is no {name}")
            return
        last = found[-1]
        yield f"{'#' * level} {name}\n"
        if isinstance(last, ast.ClassDef):
            yield from self._text(source, last, where)
            yield from self._members(source, last, level + 1)
        elif isinstance(last, Function):
            yield f"```python\n{_signature(last)}\n```\n"
            yield from self._text(source, last, where)
        else:
            yield from self._text(source, last, where)

    def _text(self, source: Source, node: ast.stmt, where: str = "") -> Iterator[str]:
        if isinstance(node, Function | ast.ClassDef):
            text = ast.get_docstring(node)
        else:
            text = source.comment(node)
        if not text:
            self.warnings.append(f"{source.path}:{node.lineno}: {_name(node)} says nothing")
        if where:
            yield f"{where[0].upper()}{where[1:]}.\n"
        yield f"{_plain(text or '')}\n"

    def _members(
        self, source: Source, of: ast.ClassDef, level: int, without: Collection[str] = ()
    ) -> Iterator[str]:
        """Write the public methods and properties, and the arguments of the class itself."""
        for one in of.body:
            if not isinstance(one, Function) or _is_overload(one) or one.name in without:
                continue
            if one.name == "__init__" and ast.get_docstring(one):
                one.name = of.name
            if not one.name.startswith("_"):
                yield f"{'#' * level} {one.name}\n"
                yield f"```python\n{_signature(one)}\n```\n"
                yield from self._text(source, one)


def _classes(path: Path) -> list[str]:
    return [one.name for one in Source(path).body if isinstance(one, ast.ClassDef)]


def _attribute(of: ast.ClassDef) -> str:
    """Return the name of a feature: the attribute of Auth."""
    for one in of.body:
        if _name(one) == "name" and isinstance(one, ast.Assign | ast.AnnAssign):
            return str(ast.literal_eval(one.value)) if one.value else of.name
    return of.name


def _name(node: ast.AST) -> str:
    if isinstance(node, Function | ast.ClassDef):
        return node.name
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target)
    return ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""


def _is_overload(node: Function) -> bool:
    return any(ast.unparse(one) == "overload" for one in node.decorator_list)


def _signature(node: Function) -> str:
    """Write a function as one line, or with an argument a line where that is too long."""
    kinds = {ast.unparse(one) for one in node.decorator_list}
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if kinds & {"property", "cached_property", "functools.cached_property"}:
        return f"{node.name}: {returns.removeprefix(' -> ')}"
    arguments = node.args
    first = [*arguments.posonlyargs, *arguments.args][:1]
    if first and first[0].arg in {"self", "cls"}:
        (arguments.posonlyargs or arguments.args).pop(0)
    before = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    line = f"{before} {node.name}({ast.unparse(arguments)}){returns}"
    if len(line) <= 100:  # noqa: PLR2004 (the house's lines)
        return line
    parts = re.split(r", (?=\w+: |\*)", ast.unparse(arguments))
    return "\n".join([f"{before} {node.name}(", *(f"    {part}," for part in parts), f"){returns}"])


def _first(of: ast.ClassDef) -> str:
    return _plain((ast.get_docstring(of) or "").split("\n\n")[0].replace("\n", " "))


def _plain(text: str) -> str:
    """Write a docstring as Markdown: what stands in backticks is code, all else is text."""
    code = text.split("`")
    return "`".join(
        part if number % 2 else part.replace("<", "&lt;").replace("*", r"\*")
        for number, part in enumerate(code)
    )


def main() -> None:
    """Write the pages. Exits with status 1 after a warning."""
    reference = Reference()
    pages = reference.pages()
    for warning in reference.warnings:
        print(f"warning: {warning}")
    if reference.warnings:
        sys.exit(1)
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages.items():
        (REFERENCE / name).write_text(text, "utf-8")
    print(f"wrote {', '.join(sorted(pages))} without warnings")


if __name__ == "__main__":
    main()
