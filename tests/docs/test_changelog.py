"""The changelog's table of names is true: the new names exist and the old ones are gone."""

import re
from collections.abc import Iterator
from functools import cache

import pytest

from bienvenue.feature import Feature
from bienvenue.user import Base
from bienvenue.web import cookies as web_cookies
from tests.docs.pages import TOP
from tests.docs.test_documented import FEATURES, commands, refusals, sections
from tests.house.source import MODULES, PACKAGE

TEMPLATES = PACKAGE / "templates"


def renamed() -> Iterator[tuple[str, str, str]]:
    """Yield the rows of the table: the kind of name, the cell of old names, that of new ones."""
    text = (TOP / "CHANGELOG.md").read_text("utf-8")
    kind = ""
    row = re.compile(r"^\| ([^|`]*?) ?\| ([^|]*`[^|]*) \| ([^|]+) \|$", re.MULTILINE)
    for what, old, new in row.findall(text):
        kind = what or kind
        yield kind, old, new


ROWS = list(renamed())


@cache
def names() -> dict[str, set[str]]:
    """Return every name of the product by its kind."""
    source = "\n".join(module.path.read_text("utf-8") for module in MODULES)
    classes = set(re.findall(r"^class (\w+)", source, re.MULTILINE))
    kinds = [kind for feature in FEATURES.values() for kind in getattr(feature, "pages", ())]
    files = [path.relative_to(TEMPLATES) for path in TEMPLATES.rglob("*")]
    features = "\n".join(m.path.read_text("utf-8") for m in MODULES if "features" in m.name)
    fields = set(re.findall(r"^    (\w+): ", features, re.MULTILINE))
    cookies = {name for name in vars(web_cookies).values() if isinstance(name, str)}
    cookies |= {web_cookies.link(purpose) for purpose in re.findall(r'link="(\w+)"', features)}
    modules = {module.name.replace(".", "/") for module in MODULES}
    return {
        "setting": {
            f"BIENVENUE_{name.upper()}" for _, of in sections() for name in of.model_fields
        },
        "command": {f"bienvenue {name}" for name, _ in commands()},
        "path": {page.path for page in kinds},
        "field, cookie": fields | cookies,
        "code": {kind.code for kind in refusals()},
        "event": {name for feature in FEATURES.values() for name in feature.events},
        "attribute": set(FEATURES),
        "table": set(Base.metadata.tables),
        "method": set(vars(Feature)) | {"rate_limits"},
        "exception": classes,
        "module": modules,
        "template": {str(path) for path in files},
    }


@pytest.mark.parametrize(("kind", "old", "new"), ROWS, ids=[old for _, old, _ in ROWS])
def test_the_new_names_are_there_and_the_old_ones_are_gone(kind: str, old: str, new: str) -> None:
    """An old name with a note in brackets belongs to another thing today."""
    known = names()[kind]
    assert set(re.findall(r"`([^`]+)`", new)) - known == set()
    if "(" not in old:
        assert (
            set(re.findall(r"`([^`]+)`", old)) & known - set(re.findall(r"`([^`]+)`", new)) == set()
        )


def test_every_kind_of_name_is_in_the_table() -> None:
    """The reader of the table finds its rows."""
    assert len(ROWS) > 50
    assert {kind for kind, _, _ in ROWS} == set(names())
