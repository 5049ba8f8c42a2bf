"""What the course does beyond the sheet."""

from __future__ import annotations

import os
from pathlib import Path

from grade.learner import Learner

BOB = "bob@example.com"


def test_the_course_has_these_five_attributes_and_no_other(course: Learner) -> None:
    """The model will have the following attributes."""
    names = ["id", "email", "hashed_password", "session_id", "reset_token"]
    assert [column.name for column in course.User.__table__.columns] == names


def test_the_users_of_the_course_outlive_a_restart(course: Learner) -> None:
    """A DB that is made on the same file finds the users of the last one."""
    before = course.make_db()
    before.add_user(BOB, "hash of bob")
    after = course.DB()
    assert after.find_user_by(email=BOB).hashed_password == "hash of bob"
    assert (Path(os.curdir) / "a.db").exists()


def test_the_course_has_one_session_a_user(course: Learner) -> None:
    """Store it as the user's session_id: the next one takes its place."""
    auth = course.make_auth()
    auth.register_user(BOB, course.good_password)
    first, second = auth.create_session(BOB), auth.create_session(BOB)
    assert auth.get_user_from_session_id(first) is None
    assert auth.get_user_from_session_id(second).email == BOB


def test_the_functions_of_the_course_have_the_names_of_the_exercise(course: Learner) -> None:
    """Define a users function that implements POST /users, a login function for POST /sessions."""
    named = {
        (method, rule.rule): rule.endpoint
        for rule in course.application().url_map.iter_rules()
        for method in rule.methods or set()
        if method not in {"HEAD", "OPTIONS"} and rule.endpoint != "static"
    }
    assert named == {
        ("GET", "/"): "index",
        ("POST", "/users"): "users",
        ("POST", "/sessions"): "login",
        ("DELETE", "/sessions"): "logout",
        ("GET", "/profile"): "profile",
        ("POST", "/reset_password"): "get_reset_password_token",
        ("PUT", "/reset_password"): "update_password",
    }
