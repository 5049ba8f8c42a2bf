"""The query of docs/guide/from-flask-user.md, on the tables that Flask-User documents."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from tests.house.source import TOP
from tests.spine.test_cli import Run, run

__all__ = ["run"]

ROLES = """
CREATE TABLE roles (id INTEGER PRIMARY KEY, name VARCHAR(50) UNIQUE);
CREATE TABLE user_roles (id INTEGER PRIMARY KEY, user_id INTEGER, role_id INTEGER);
INSERT INTO roles VALUES (1, 'Admin'), (2, 'Shop Agent');
INSERT INTO user_roles VALUES (1, 1, 1), (2, 1, 2);
"""


def test_the_query_brings_users_with_their_roles(run: Run, tmp_path: Path) -> None:
    """A role with a blank in its name becomes a group with a hyphen."""
    page = (TOP / "docs" / "guide" / "from-flask-user.md").read_text("utf-8")
    (query,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    theirs = tmp_path / "flask_user.db"
    tables = (TOP / "tests" / "docs" / "others" / "flask_user.sql").read_text("utf-8")
    with sqlite3.connect(theirs) as connection:
        connection.executescript(tables + ROLES)
    said = run("users", "import", f"sqlite:///{theirs}", "--query", query)
    assert "1 created, 0 unchanged, 0 refused" in said.output
    shown = run("users", "show", "ann@example.com").output
    assert "Admin" in shown
    assert "Shop-Agent" in shown
