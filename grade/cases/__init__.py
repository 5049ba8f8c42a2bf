"""The cases of the exercise, written once: the tests and `make grade` both run them."""

from grade.case import CASES, Case, of_learners
from grade.cases import app, auth, db, mended, reset, user

__all__ = ["CASES", "Case", "app", "auth", "db", "mended", "of_learners", "reset", "user"]
