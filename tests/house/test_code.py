"""What every file of the product keeps to."""

import ast
import re
from pathlib import Path

import pytest

from bienvenue.auth import FEATURES
from tests.house.source import FILES, MODULES, NAMES, PACKAGE, TOP, Module, feature_names

#: From the ground up: a module imports only from rooms below its own, or beside it.
STOREYS = [
    {
        "version",
        "accent",
        "table_names",
        "footer",
        "logo",
        "client",
        "clock",
        "errors",
        "finding",
        "tokens",
        "token_format",
        "key_file",
        "key_ring",
        "purposes",
        "user_agent",
        "blocklist",
        "hashing",
        "foreign_hashes",
        "settings",
        "environment",
        "disk_space",
        "site_path",
        "tls",
        "client_ip",
        "connections",
        "places",
        "logs",
        "i18n",
    },
    {"user"},
    {"authentication"},
    {"db"},
    {"schema", "queue", "claim"},
    {"migrations"},
    {"normalize", "hash_queue", "user_fields", "declared"},
    {"web"},
    {"registry"},
    {"feature", "signals"},
    {"features"},
    {"auth"},
    {"work"},
    {"openapi", "wsgi_bridge", "app_commands", "host"},
    {"app", "checkup", "models"},
    {"compat"},
    {"edge"},
    {"wsgi", "asgi", "stopping"},
    {"serve"},
    {"cli", "testing"},
    {"__main__"},
    {""},
]
EMPTY_NAMES = {"utils", "util", "helpers", "common", "manager", "service", "base", "misc"}


def storey(name: str) -> int:
    """Give the storey of a module, by the longest part of its name that has one."""
    room = name.split(".", maxsplit=1)[0]
    return next(number for number, rooms in enumerate(STOREYS) if room in rooms)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name or "bienvenue")
def test_imports_run_downwards(module: Module) -> None:
    """No room needs one above it, so each can be read without what stands on it."""
    upwards = {name for name in module.imports() if storey(name) > storey(module.name)}
    assert not upwards, f"{module.name} imports {upwards} from above"


def test_the_rule_of_imports_sees_imports() -> None:
    """The reader of imports finds what there is: a rule that sees nothing proves nothing."""
    by_name = {module.name: module for module in MODULES}
    assert "features.sessions" in by_name["auth"].imports()
    assert "auth" not in by_name["web.dispatch"].imports()
    assert {"clock", "tokens"} <= by_name["features.sessions.operations"].imports()


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Name what is part of a circle: what stays when all that needs nothing is taken away."""
    left = {name: set(needed) & graph.keys() for name, needed in graph.items()}
    while free := {name for name, needed in left.items() if not needed & left.keys()}:
        left = {name: needed for name, needed in left.items() if name not in free}
    return sorted(left)


def test_no_modules_need_each_other() -> None:
    """Also where an import is for types alone: a circle of types is a circle of words."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"a"}, "c": set()}) == ["a", "b"]
    graph = {module.name: module.imports(types=True) for module in MODULES}
    # A package's own parts import each other through it: its `__init__` only re-exports.
    packages = {name for name in graph if any(other.startswith(f"{name}.") for other in graph)}
    bare = {name: needed - packages for name, needed in graph.items() if name not in packages}
    assert circles(bare) == []


def test_features_state_what_they_need_and_no_circle() -> None:
    """By `needs`, by the features that pages and commands name, and by every import."""
    opened = {feature.name: feature for feature in FEATURES}
    order = list(opened)
    named = {kind: name for name, kind in opened.items()}
    graph = {name: {named[k] for k in kind.needed().values()} for name, kind in opened.items()}
    for module in MODULES:
        room, _, rest = module.name.partition(".")
        if room == "features" and rest:
            mine = rest.split(".")[0]
            others = {
                each.split(".")[1] for each in module.imports(types=True) if "features." in each
            }
            graph[mine] |= others - {mine}
    assert circles(graph) == []
    assert sum(map(len, graph.values())) > 40, "the reader of needs finds nothing"
    late = [
        (a, b) for a, needed in graph.items() for b in needed if order.index(b) > order.index(a)
    ]
    assert late == []


def test_a_folder_of_a_feature_has_the_same_files() -> None:
    """Tables, settings and links in models, refusals in errors; what a feature needs besides."""
    own = {"audit": {"former", "verification"}, "import_export": {"sources"}}
    own |= {"mail": {"messages", "smtp"}, "rate_limits": {"store"}}
    for folder in (PACKAGE / "features").iterdir():
        files = {file.stem: file.read_text("utf-8") for file in folder.glob("*.py")}
        extra = files.keys() - {"__init__", "models", "errors", "operations", "pages", "commands"}
        assert extra == own.get(folder.name, set()) & files.keys(), folder.name
        for name, text in files.items():
            if name != "errors":
                assert "(Refusal):" not in text, f"{folder.name}/{name}.py"
            if name != "commands":
                assert "@click" not in text, f"{folder.name}/{name}.py"


def test_no_feature_is_reached_but_by_need() -> None:
    """The registry gives features by their class to `needs`, pages and commands alone."""
    for module in MODULES:
        if module.name.startswith("features."):
            text = module.path.read_text("utf-8")
            assert not re.search(r"_registry\.(use|features\[)|\b_auth\b", text), module.name


def python_files() -> list[Path]:
    """Every Python file of the project, but for what is installed."""
    folders = [
        TOP / name for name in ("src", "course", "grade", "tests", "tools", "bench", "examples")
    ]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def test_every_file_says_in_its_name_what_belongs_in_it() -> None:
    """There are no utils, but for the module whose name applications of Flask-Login know."""
    theirs = TOP / "src" / "bienvenue" / "compat" / "flask_login" / "utils.py"
    assert not {path.stem for path in python_files() if path != theirs} & EMPTY_NAMES


def test_only_db_commits() -> None:
    """One place ends transactions."""
    committers = {
        module.name
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback"}
    }
    assert committers == {"db"}


def test_pages_speak_to_auth_alone() -> None:
    """A page reads fields, calls one operation and answers: it never sees the database."""
    pages = [(module, page) for module in MODULES for page in module.pages()]
    assert len(pages) >= 10, "the reader of pages finds none"
    for module, page in pages:
        used = {node.id for node in ast.walk(page) if isinstance(node, ast.Name)}
        attributes = {node.attr for node in ast.walk(page) if isinstance(node, ast.Attribute)}
        forbidden = {"select", "update", "delete", "insert", "DB", "User"} & used
        assert not forbidden, f"{module.name}.{page.name} uses {forbidden}"
        hidden = {name for name in attributes if name.startswith("_")}
        assert not hidden, f"{module.name}.{page.name} reaches into {hidden}"


def test_a_page_of_a_feature_is_one_or_two_statements() -> None:
    """What is more belongs into an operation, where the command line and tests find it too."""
    for module in MODULES:
        for page in module.pages():
            if module.name.startswith("features"):
                assert len(page.body) - 1 <= 2, f"{module.name}.{page.name} is long"


def test_every_operation_that_waits_for_a_hash_does_so_outside_transactions() -> None:
    """Hash before the transaction: a lock held for a quarter of a second stops everybody."""
    for module in MODULES:
        for block in ast.walk(module.tree):
            if isinstance(block, ast.With) and "transaction(" in ast.unparse(block.items[0]):
                calls = {
                    node.func.attr
                    for node in ast.walk(block)
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                }
                assert not calls & {"hash", "verify", "pretend", "admit"}, module.name


@pytest.mark.parametrize("feature", feature_names())
def test_a_feature_has_its_test_its_page_and_its_migration(feature: str) -> None:
    """Adding a feature is not done before all of it is there."""
    assert (TOP / "tests" / "features" / f"test_{feature}.py").exists()
    assert (TOP / "docs" / "features" / f"{feature}.md").exists()
    modules = [module.path for module in MODULES if f"features.{feature}" in module.name]
    texts = [path.read_text("utf-8") for path in modules]
    tables = {name for text in texts for name in re.findall(r'__tablename__ = "(\w+)"', text)}
    migrations = (PACKAGE / "migrations" / "versions").glob("[0-9]*.py")
    made = "".join(path.read_text("utf-8") for path in migrations)
    assert {name for name in tables if f'"{name}"' not in made} == set()


def test_auth_opens_every_feature() -> None:
    """A feature that no one opens is no feature."""
    text = (PACKAGE / "auth.py").read_text("utf-8")
    for feature in feature_names():
        (opened,) = re.findall(rf"from bienvenue\.features\.{feature} import (\w+)", text)
        assert f"self.use({opened})" in text


def test_there_are_modules_to_judge() -> None:
    """The rules above read the whole product."""
    assert len(FILES) == len(NAMES) > 25


def test_nothing_is_skipped() -> None:
    """A test that does not run proves nothing; what cannot run says so in the command instead."""
    mark = re.compile(r"pytest\.(mark\.)?(skip|xfail|importorskip)|unittest\.skip")
    here = Path(__file__)
    assert not [
        path for path in python_files() if path != here and mark.search(path.read_text("utf-8"))
    ]
