"""The sheet of the exercise: its tasks in order, and what each one builds on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

COURSE = Path(__file__).parents[1] / "course"
#: The files of the exercise, in the order in which the sheet meets them.
FILES = ("user.py", "db.py", "auth.py", "app.py")


@dataclass(frozen=True)
class Task:
    """One task of the sheet."""

    number: int
    file: str
    #: What the task asks for, as the code or the request names it.
    name: str
    #: The tasks whose result this one uses.
    needs: tuple[int, ...] = ()

    @property
    def chapter(self) -> Path:
        """The chapter of the course that walks through this task."""
        return next(COURSE.glob(f"{self.number:02}-*.md"))


#: The first thirteen are those of the sheet as it was handed out; the others are its usual rest.
TASKS = (
    Task(1, "user.py", "User"),
    Task(2, "db.py", "DB.add_user", (1,)),
    Task(3, "db.py", "DB.find_user_by", (2,)),
    Task(4, "db.py", "DB.update_user", (3,)),
    Task(5, "auth.py", "_hash_password"),
    Task(6, "auth.py", "Auth.register_user", (3, 5)),
    Task(7, "app.py", "GET /"),
    Task(8, "app.py", "POST /users", (6, 7)),
    Task(9, "auth.py", "Auth.valid_login", (6,)),
    Task(10, "auth.py", "_generate_uuid"),
    Task(11, "auth.py", "Auth.create_session", (4, 6, 10)),
    Task(12, "app.py", "POST /sessions", (8, 9, 11)),
    Task(13, "auth.py", "Auth.get_user_from_session_id", (11,)),
    Task(14, "auth.py", "Auth.destroy_session", (11,)),
    Task(15, "app.py", "DELETE /sessions", (12, 13, 14)),
    Task(16, "app.py", "GET /profile", (12, 13)),
    Task(17, "auth.py", "Auth.get_reset_password_token", (4, 6, 10)),
    Task(18, "app.py", "POST /reset_password", (8, 17)),
    Task(19, "auth.py", "Auth.update_password", (17,)),
    Task(20, "app.py", "PUT /reset_password", (18, 19)),
    Task(21, "app.py", "main.py", (15, 16, 20)),
)


def task(number: int) -> Task:
    """Return the task of this number. Raises KeyError where there is none."""
    if not 1 <= number <= len(TASKS):
        raise KeyError(number)
    return TASKS[number - 1]


def needed(number: int) -> list[int]:
    """Return every task that this one builds on, directly or not, in order.

    The later chapters ask for repairs and are no tasks: they build on none here.
    """
    if number > len(TASKS):
        return []
    found: set[int] = set()
    for need in task(number).needs:
        found |= {need, *needed(need)}
    return sorted(found)


def first_of(file: str) -> int:
    """Return the number of the first task that is written in this file."""
    return next(one.number for one in TASKS if one.file == file)
