"""groups: names on accounts, from the command line to what is left of a deleted account."""

from __future__ import annotations

import pytest

from bienvenue.authentication import CODE
from bienvenue.features.accounts import NoSuchUser
from bienvenue.features.groups import GroupRequired, Groups, MalformedGroup
from bienvenue.features.groups.operations import Wanted
from tests.conftest import EMAIL, PASSPHRASE, Service
from tests.features.test_import_export import bring, outcomes
from tests.races import race
from tests.spine.test_cli import Run, refused, run

__all__ = ["run"]


def events(service: Service, user_id: int) -> list[tuple[str, str]]:
    """What happened to the groups of an account, oldest first, and which."""
    found = reversed(service.auth.audit.list(user_id, limit=None))
    return [(each.name, each.personal["group"]) for each in found if each.name.startswith("group.")]


def test_an_account_is_in_the_groups_it_was_added_to(service: Service) -> None:
    """Once each, however often it is added; and out when it is removed."""
    groups = service.auth.groups
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    assert groups.of(user.id) == frozenset()
    for name in ("staff", "staff", "Staff", "editors"):
        assert groups.add(CODE, EMAIL, name).id == user.id
    assert groups.of(user.id) == {"staff", "Staff", "editors"}
    assert groups.members("staff") == [EMAIL]
    assert list(groups.sizes().items()) == [("Staff", 1), ("editors", 1), ("staff", 1)]
    for _ in range(2):
        groups.remove(CODE, user.uid, "staff")
    assert groups.of(user.id) == {"Staff", "editors"}
    assert groups.members("staff") == []
    changes = ["group.added"] * 3 + ["group.removed"]
    assert events(service, user.id) == [
        *zip(changes, ["staff", "Staff", "editors", "staff"], strict=True)
    ]


@pytest.mark.table(shown=3)
@pytest.mark.usefixtures("bob")
@pytest.mark.parametrize("name", ["", " ", "-a", ".a", "a b", "a,b", "é", "a" * 65, "a\n", "a/b"])
def test_a_name_that_is_none_is_refused(service: Service, name: str) -> None:
    """Before anything is written."""
    with pytest.raises(MalformedGroup):
        service.auth.groups.add(CODE, EMAIL, name)
    assert service.auth.groups.sizes() == {}


@pytest.mark.usefixtures("bob")
def test_the_longest_name_is_kept_whole(service: Service) -> None:
    """With every character that a name may have."""
    name = "A0._-z" + "x" * 58
    user = service.auth.groups.add(CODE, EMAIL, name)
    assert service.auth.groups.of(user.id) == {name}


@pytest.mark.usefixtures("bob")
def test_no_one_is_added_who_does_not_exist(service: Service) -> None:
    """Nor removed, nor if the account goes at that very moment."""
    with pytest.raises(NoSuchUser):
        service.auth.groups.add(CODE, "nobody@example.com", "staff")
    with pytest.raises(NoSuchUser):
        service.auth.groups.remove(CODE, "nobody@example.com", "staff")


@pytest.mark.usefixtures("bob")
def test_an_account_that_goes_meanwhile_is_no_user(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was read, and is not there to be locked."""
    monkeypatch.setattr(service.auth.accounts, "hold", lambda _: False)
    with pytest.raises(NoSuchUser):
        service.auth.groups.add(CODE, EMAIL, "staff")


def test_added_by_many_at_once_it_is_added_once(service: Service) -> None:
    """One row and one event."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    race(lambda _: service.auth.groups.add(CODE, EMAIL, "staff"), 8)
    assert events(service, user.id) == [("group.added", "staff")]


@pytest.mark.usefixtures("bob")
def test_a_deleted_account_is_in_no_group(service: Service) -> None:
    """And a group without an account is none."""
    service.auth.groups.add(CODE, EMAIL, "staff")
    service.auth.accounts.disable(CODE, EMAIL)
    assert service.auth.groups.sizes() == {"staff": 1}
    service.auth.accounts.delete(CODE, EMAIL)
    assert service.auth.groups.sizes() == {}


def test_what_a_view_requires() -> None:
    """Each of the groups, or one of those that stand together."""
    mine = frozenset({"staff", "editors"})
    enough: tuple[list[Wanted], ...] = (
        ["staff"],
        ["staff", "editors"],
        [("admins", "staff")],
        ["staff", ["editors"]],
    )
    for wanted in enough:
        Groups.require(mine, wanted)
    lacking: tuple[list[Wanted], ...] = (
        ["admins"],
        ["staff", "admins"],
        [("admins", "owners")],
        [()],
    )
    for wanted in lacking:
        with pytest.raises(GroupRequired):
            Groups.require(mine, wanted)


@pytest.mark.usefixtures("bob")
def test_groups_are_exported_with_all_else(service: Service) -> None:
    """To the user, and to the operator."""
    user = service.auth.groups.add(CODE, EMAIL, "staff")
    service.auth.groups.add(CODE, EMAIL, "editors")
    assert service.auth.export(user.id)["groups"] == ["editors", "staff"]
    other = service.auth.register_user("rob@example.com", PASSPHRASE)
    found = service.auth.groups.export_users([user.id, other.id])
    assert found == {user.id: {"groups": ["editors", "staff"]}}


def test_a_name_with_a_blank_is_not_two_groups(service: Service) -> None:
    """It would be another right than the one that was meant."""
    line = {"email": EMAIL, "groups": "not staff, editors"}
    assert outcomes(bring(service, line)) == ["refused"]


@pytest.mark.parametrize("given", ["staff,editors", " editors , staff,", ["staff", "editors", ""]])
def test_groups_come_with_imported_users(service: Service, given: object) -> None:
    """As a text of CSV or a list of JSON."""
    line = {"email": EMAIL, "groups": given}
    assert outcomes(bring(service, line, {"email": "rob@example.com"})) == ["created", "created"]
    assert service.auth.groups.of(service.auth.accounts.find(EMAIL).id) == {"staff", "editors"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [("staff,-", "has a group whose name"), ({"a": 1}, "is neither a list"), (7, "is neither")],
)
def test_groups_that_are_none_refuse_the_line(service: Service, given: object, reason: str) -> None:
    """And nothing of it is imported."""
    (result,) = bring(service, {"email": EMAIL, "groups": given})
    assert result.outcome == "refused"
    assert reason in str(result)
    with pytest.raises(NoSuchUser):
        service.auth.accounts.find(EMAIL)


def test_the_commands(run: Run) -> None:
    """From adding a user with groups to listing who is in one."""
    added = run("users", "add", EMAIL, "--no-password", "--group", "staff", "--group", "editors")
    assert added.exit_code == 0, added.output
    assert run("users", "groups", "list", EMAIL).output == "editors\nstaff\n"
    assert run("users", "groups", "add", EMAIL, "admins").output == f"{EMAIL} is in admins\n"
    removed = run("users", "groups", "remove", EMAIL, "staff")
    assert removed.output == f"{EMAIL} is not in staff\n"
    assert run("users", "groups", "list").output == "     1  admins\n     1  editors\n"
    assert run("users", "groups", "list", "--group", "admins").output == f"{EMAIL}\n"
    refused(run("users", "groups", "list", EMAIL, "--group", "admins"), "not both", 2)
    refused(run("users", "groups", "list", "--group", "a b"), "A group has a name of")
    refused(run("users", "add", "rob@example.com", "--no-password", "--group", "-"), "A group has")
    refused(run("users", "show", "rob@example.com"), "There is no account")
    assert "The groups of accounts" in run("users", "--help").output
