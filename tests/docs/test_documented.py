"""What exists is documented, and what is documented exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic.fields import FieldInfo

import bienvenue.edge  # noqa: F401 (its refusals are known once it is imported)
from bienvenue import Auth, Bienvenue, openapi
from bienvenue.app import all_pages, core
from bienvenue.cli import main
from bienvenue.db import DB
from bienvenue.feature import Feature, Refusal
from bienvenue.settings import PREFIX, Core, Section, Settings
from bienvenue.web import body, cookies
from tests import transcript
from tests.docs.pages import GUIDE, TOP, Page, documentation, pages
from tests.house.source import feature_names
from tests.seed.test_differences import DIFFERENCES

FEATURES = {
    feature.name: feature
    for feature in Feature.__subclasses__()
    if feature.__module__.startswith("bienvenue.features.")
}
HTTP = Page(GUIDE / "http.md")
SETTINGS = Page(GUIDE / "settings.md")
COMMANDS = Page(GUIDE / "commands.md")
#: Classes that stand for several refusals, whose own code no answer carries.
FAMILIES = {"refused", "invalid_fields"}
ORDER = ["Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"]
SHAPE = ["Overview", "How it works", "What it refuses", "Events", "Settings", "Commands"]


def page_of(feature: str) -> Page:
    """Give the page of a feature."""
    return Page(TOP / "docs" / "features" / f"{feature}.md")


def named(page: Page) -> str:
    """Return the name under which a page appears in the list of tests."""
    return page.name


# --- features -----------------------------------------------------------------------------------


def test_every_feature_has_its_page_and_every_page_its_feature(tmp_path: Path) -> None:
    """The features are those that Auth opens, by name."""
    db = DB(f"sqlite:///{tmp_path / 'empty.db'}")
    opened = [feature.name for feature in Auth(db, Settings({})).features]
    written = [path.stem for path in (TOP / "docs" / "features").glob("*.md")]
    assert sorted(opened) == sorted(written) == sorted(FEATURES) == feature_names()


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_the_page_of_a_feature_has_its_shape(feature: str) -> None:
    """In one order: what it is, how, what it says no to, what it says, what goes wrong, limits."""
    found = page_of(feature).headings(2)
    wanted = [*SHAPE, "What goes wrong", "Limits"]
    assert [heading for heading in found if heading in wanted] == wanted


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_every_event_is_documented(feature: str) -> None:
    """Each with what it means, in the words of the code; and no other event is."""
    rows = page_of(feature).rows()
    documented = {name: cells[0] for name, cells in rows.items() if "." in name}
    assert documented == dict(FEATURES[feature].events)


def refusals(of: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Go through every class of refusals of the product."""
    for kind in of.__subclasses__():
        if kind.__module__.startswith("bienvenue."):
            yield kind
            yield from refusals(kind)


def feature_of(kind: type[Refusal]) -> str | None:
    """Name the feature that declares a refusal, None for the house."""
    found = re.match(r"bienvenue\.(?:features|compat)\.(\w+)", kind.__module__)
    return found[1] if found else None


def codes(feature: str | None) -> dict[str, int]:
    """Give the codes of a feature's refusals, or the house's, with their statuses."""
    found = {kind.code: kind.status for kind in refusals() if feature_of(kind) == feature}
    if feature is None:
        found |= {code: 400 for code, _ in body.WORDS.values()} | {"wrong_type": 400}
    return {code: status for code, status in found.items() if code not in FAMILIES}


@pytest.mark.parametrize("feature", [*sorted(FEATURES), None])
def test_every_refusal_is_documented(feature: str | None) -> None:
    """Each with its code, its status and a meaning; and no other refusal is."""
    rows = (HTTP if feature is None else page_of(feature)).rows()
    documented = {
        code: int(cells[0]) for code, cells in rows.items() if re.fullmatch(r"[45]\d\d", cells[0])
    }
    assert documented == codes(feature)
    assert [code for code in documented if len(rows[code][1]) < 15] == []


@pytest.mark.parametrize("feature", [*sorted(FEATURES), None])
def test_every_page_is_documented(feature: str | None) -> None:
    """Each with its method and path and what it is for; and no other page is."""
    rows = (HTTP if feature is None else page_of(feature)).rows()
    served = core if feature is None else getattr(FEATURES[feature], "pages", ())
    documented = {row for row in rows if re.match("[A-Z]+ /", row)}
    assert documented == {f"{page.method} {page.path}" for page in served}


@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_every_refusal_of_a_page_is_told_by_its_feature(feature: str) -> None:
    """By its code, or by a link to the page of the feature that refuses it."""
    page = page_of(feature)
    section = page.text.partition("## What it refuses")[2].partition("\n## ")[0]
    linked = {
        link.partition("#")[0].removesuffix(".md") for link in re.findall(r"\]\((.*?)\)", section)
    }
    untold = [
        f"{served.method} {served.path}: {error.code}"
        for served in getattr(FEATURES[feature], "pages", ())
        for error in served.errors
        # The page on the HTTP API has those of the house, which any page may return.
        if (home := feature_of(error)) is not None
        if error.code not in section and home not in linked
    ]
    assert untold == []


def test_the_pages_that_need_a_fresh_session_are_named() -> None:
    """Where it is said what reauthentication is for."""
    overview = page_of("reauthentication").text.partition("## How it works")[0]
    pages = [page for each in FEATURES.values() for page in getattr(each, "pages", ())]
    needing = {f"{page.method} {page.path}" for page in pages if page.reauth}
    assert set(re.findall(r"`([A-Z]+ /\S*)`", overview)) == needing


def test_the_cookies_are_listed(tmp_path: Path) -> None:
    """Those that the code names, those of features and of emailed links; and no others."""
    auth = Auth(DB(f"sqlite:///{tmp_path / 'empty.db'}"), Settings({}))
    names = {
        value
        for name, value in vars(cookies).items()
        if name.isupper() and isinstance(value, str) and name != "LINK"
    }
    links = {cookies.link(page.link) for page in all_pages(auth) if page.link is not None}
    table = HTTP.text.partition("## Cookies")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert sorted(re.findall("`([^`]+)`", " ".join(rows))) == sorted(
        names | links | {*auth.cookies}
    )


def test_a_default_beside_its_variable_is_that_of_the_code() -> None:
    """Sixty emails an hour were twenty on four pages."""
    words = {"sixty": "60", "a hundred": "100", "ten": "10", "twenty": "20"}
    number = "|".join([r"[0-9][0-9,]*", *words])
    beside = re.compile(rf"\b({number})\s[\w\s]{{0,30}}\(`(BIENVENUE_[A-Z_]+)`")
    defaults = {
        f"{PREFIX}{name.upper()}": str(field.default)
        for _, section in sections()
        for name, field in section.model_fields.items()
        if isinstance(field.default, int) and not isinstance(field.default, bool)
    }
    found = [
        (page.name, variable, words.get(said, said).replace(",", ""))
        for page in documentation()
        for said, variable in beside.findall(page.prose)
        if variable in defaults
    ]
    assert len(found) > 3
    wrong = [
        (name, variable, said)
        for name, variable, said in found
        # Lengths of time are told in days, hours or minutes.
        if defaults[variable] not in {str(int(said) * unit) for unit in (1, 60, 3600, 86400)}
    ]
    assert wrong == []


def test_the_document_of_the_paths_is_openapi(tmp_path: Path) -> None:
    """What `GET /openapi.json` gives is valid, and has every path."""
    auth = Auth(DB(f"sqlite:///{tmp_path / 'empty.db'}"), Settings({}))
    document = openapi.document(all_pages(auth), auth.settings)
    OpenAPIV31SpecValidator(document).validate()
    described = {
        f"{method.upper()} {path}" for path, of in document["paths"].items() for method in of
    }
    served = {f"{page.method} {page.path}" for page in all_pages(auth)}
    assert described == {page.replace("<", "{").replace(">", "}") for page in served}


def test_the_guide_lists_the_paths_that_the_pages_take(tmp_path: Path) -> None:
    """At the root of an application: the first part of each, and what is below it."""
    url = f"sqlite:///{tmp_path / 'accounts.db'}"
    Auth(DB(url), Settings({})).upgrade()
    app = Flask("theirs", static_folder=None)
    Bienvenue(app, "", database_url=url, instance=tmp_path)
    former = {path for page in all_pages(Auth(DB(url), Settings({}))) for path in page.formerly}
    rules = {rule.rule for rule in app.url_map.iter_rules()} - former
    taken = {re.sub(r"(?<!\.well-known)(?<=.)/.*", "", rule) for rule in rules}
    text = Page(GUIDE / "embedding.md").text
    listed = re.search("<!-- paths -->(.*)<!-- end of paths -->", text, re.DOTALL)
    assert listed
    assert re.findall("`([^`]+)`", listed[1]) == sorted(taken)


# --- settings -----------------------------------------------------------------------------------


def sections() -> list[tuple[Page, type[Section]]]:
    """Give every section of the settings, with the page that also names its variables."""
    features = [(page_of(name), feature.Settings) for name, feature in FEATURES.items()]
    return [(SETTINGS, Core), *features]


def bounds(field: FieldInfo) -> Iterator[str]:
    """Give the bounds of a setting as its page writes them, but for lengths of time."""
    for constraint in field.metadata:
        for name in ("ge", "le", "min_length", "max_length"):
            bound = getattr(constraint, name, None)
            if bound is not None and field.annotation is not None and bound < 10**6:
                yield f"{bound:,}"


@pytest.mark.parametrize(
    ("page", "section", "name"),
    [(page, section, name) for page, section in sections() for name in section.model_fields],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_setting_is_documented(page: Page, section: type[Section], name: str) -> None:
    """With its variable, its default, its bounds, and its meaning in the words of the code."""
    field = section.model_fields[name]
    variable = PREFIX + name.upper()
    default, meaning = SETTINGS.rows()[variable]
    assert (field.description or "").replace("<", "&lt;").replace(">", "&gt;") in meaning
    if field.default is None:
        assert default == ""
    else:
        # Settings of SMTP are refused without a mail server.
        server = {"smtp_host": "mail.example.org", "mail_from": "us@example.org"}
        beside = server if name.startswith("smtp_") else {}
        read = section.model_validate({**beside, name: default.strip("`")})
        assert getattr(read, name) == field.default
    assert [bound for bound in bounds(field) if bound not in meaning] == []
    assert variable in page.text


def test_no_setting_is_documented_that_is_none() -> None:
    """Every row of the settings is a field of a section."""
    fields = {PREFIX + name.upper() for _, section in sections() for name in section.model_fields}
    assert set(SETTINGS.rows()) == fields


# --- commands -----------------------------------------------------------------------------------


def argument(of: click.Argument) -> str:
    """Write an argument as the help of its command does: in brackets when it may be left out."""
    name = str(of.name).upper()
    return name if of.required else f"[{name}]"


def commands(group: click.Group = main, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Go through every command under its whole name, as `users add`."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=[name for name, _ in commands()]
)
def test_every_command_is_documented_and_shown(name: str, command: click.Command) -> None:
    """With its arguments and options in the table, and at work in a console block somewhere."""
    arguments = [part for part in command.params if isinstance(part, click.Argument)]
    options = [part for part in command.params if isinstance(part, click.Option)]
    title = " ".join([f"bienvenue {name}", *map(argument, arguments)])
    (meaning,) = COMMANDS.rows()[title]
    assert [part.opts[0] for part in options if f"`{part.opts[0]}`" not in meaning] == []
    shown = [step.command for page in documentation() for step in transcript.read(page.path)]
    assert any(re.search(rf"\bbienvenue {name}(?![\w-])", command) for command in shown)


def test_no_command_is_documented_that_is_none() -> None:
    """Every row of the commands is one."""
    rows = {row for row in COMMANDS.rows() if row.startswith("bienvenue ")}
    plain = {
        re.sub(r"( [A-Z_]+| \[[A-Z_]+\])+$", "", row.removeprefix("bienvenue ")) for row in rows
    }
    assert plain == {name for name, _ in commands()}


# --- the rest -----------------------------------------------------------------------------------


def test_every_difference_between_the_halves_is_in_the_table_and_has_its_test() -> None:
    """The rows of the table and the tests of the differences have the same names."""
    rows = Page(GUIDE / "from-the-exercise.md").rows()
    assert list(rows) == list(DIFFERENCES)
    assert {len(cells) for cells in rows.values()} == {3}


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_link_leads_somewhere(page: Page) -> None:
    """To a file of the repository, and to a heading of it when it names one."""
    for link in page.links():
        file, _, fragment = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.is_relative_to(TOP), link
        assert target.exists(), link
        if fragment:
            assert fragment in Page(target).anchors(), link


def test_every_page_of_the_documentation_is_in_an_index() -> None:
    """Anyone who begins at README finds it: an index of a folder leads to it."""
    reached: set[Path] = set()
    waiting = [TOP / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md" or not path.is_file():
            continue
        reached.add(path)
        waiting += [(path.parent / link.split("#")[0]).resolve() for link in Page(path).links()]
    assert {page.path for page in documentation()} - reached == set()


def test_the_changelog_has_its_headings_in_order() -> None:
    """In each version the ones it needs, in the one order, and no other."""
    text = (TOP / "CHANGELOG.md").read_text("utf-8")
    versions = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert versions
    for version in versions:
        found = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert found == [heading for heading in ORDER if heading in found]


def test_the_decisions_are_numbered_and_have_their_parts() -> None:
    """0001, 0002 and so on, each with context, decision, consequences and alternatives."""
    files = sorted((TOP / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(file.name[:4]) for file in files] == [*range(1, len(files) + 1)]
    for number, file in enumerate(files, 1):
        text = file.read_text("utf-8")
        assert text.startswith(f"# {number}. ")
        parts = re.findall(r"^\*\*(\w+)\.\*\* ", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences", "Alternatives"], file.name
