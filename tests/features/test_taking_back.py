"""Taking an account back undoes what a thief did, in whatever order the two acted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import Clock, MakeService
from tests.features.taking_back import Story
from tests.thorough import often

pytestmark = pytest.mark.statements

#: The acts that change most; every order of them is played.
CHIEF = (
    "changes_email",
    "closes",
    "adds_notification_email",
    "removes_notification_email",
    "changes_password",
    "reopens",
)
ACTS_OF_A_STORY = 4
ORDERED = often(2, ACTS_OF_A_STORY)
LIMITS = {"emails_network": 10**5, "emails_service": 10**5}

_names = (f"person{number}" for number in itertools.count(1))


@pytest.mark.thorough
def test_the_owner_ends_in_whatever_the_two_did(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """Up to four acts of either, drawn from all there are."""
    service = make_service(**LIMITS)

    class Machine(RuleBasedStateMachine):
        """One story of an account."""

        story: Story

        @initialize(notified=st.booleans(), changed=st.booleans())
        def begins(self, *, notified: bool, changed: bool) -> None:
            """The thief comes in, and changes the email at once or later."""
            self.story = Story(service, moving_clock, next(_names), notified=notified)
            if changed:
                self.story.does("changes_email")

        @rule(act=st.sampled_from(sorted(Story.ACTS)))
        def acts(self, act: str) -> None:
            """One of the two acts, if that is possible now."""
            self.story.does(act)

        def teardown(self) -> None:
            """The owner uses the link of the first mailbox."""
            if hasattr(self, "story"):
                self.story.ends()

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=50,
            stateful_step_count=ACTS_OF_A_STORY + 1,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_owner_ends_in_after_every_order_of_the_chief_acts(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """Every order of them with a change of the email in it: of two, or of up to four (three)."""
    service = make_service(**LIMITS)
    impossible: set[tuple[str, ...]] = set()
    played = 0
    # A hundred orders show each pair of statements; four acts take PostgreSQL five minutes.
    longest = min(ORDERED, 3) if service.auth._db.on_postgresql else ORDERED
    for acts, begins in _orders(longest):
        if begins & impossible:
            continue
        # Every other owner has a notification email.
        story = Story(service, moving_clock, next(_names), notified=played % 2 == 0)
        for number, act in enumerate(acts, 1):
            if not story.does(act):
                impossible.add(acts[:number])
        story.ends()
        played += 1
    assert played >= (often(8, 60) if longest < ACTS_OF_A_STORY else 200)


def _orders(longest: int) -> Iterator[tuple[tuple[str, ...], set[tuple[str, ...]]]]:
    """Yield every order of acts with a change of the email, and each of its beginnings."""
    for length in range(1, longest + 1):
        for acts in itertools.product(CHIEF, repeat=length):
            if "changes_email" in acts:
                yield acts, {acts[:number] for number in range(1, length + 1)}
