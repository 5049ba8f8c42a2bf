"""The name of a device, and what a visitor can make its finding cost."""

from __future__ import annotations

import pytest
import ua_parser

from bienvenue import user_agent

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("curl/8.5.0", "curl"),
        ("bienvenue-client/3", "Unknown device"),
        ("Call +1 555 0100 or see evil.example", "Unknown device"),
        ("\x9b2J\x1b[2J", "Unknown device"),
        ("Call 1 555 0100 or visit evil com bot/1", "Unknown device"),
        ("see evil com the spider/1", "Unknown device"),
        ("See-evil-com-Crawl", "Unknown device"),
        ("Googlebot/2.1", "Unknown device"),
        ("", "Unknown device"),
        ("/", "Unknown device"),
        ("x" * 4000, "Unknown device"),
    ],
)
def test_names_a_device(agent: str, name: str) -> None:
    """By browser and system, or not at all: never in the visitor's own words."""
    assert user_agent.name_of(agent) == name


def test_no_rule_sees_more_than_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """C18: some rules are cubic, so what they are given is short; those on models never run."""
    seen: list[tuple[int, ua_parser.Domain]] = []

    def watched(agent: str, domains: ua_parser.Domain) -> ua_parser.PartialResult:
        seen.append((len(agent), domains))
        return ua_parser.PartialResult(ua_parser.Domain.ALL, None, None, None, agent)

    monkeypatch.setattr(ua_parser, "parser", ua_parser.Parser(watched))
    user_agent.name_of("Linux" * 9000 + "CrKey" * 9000)
    assert seen == [
        (user_agent.LONGEST, ua_parser.Domain.USER_AGENT),
        (user_agent.LONGEST, ua_parser.Domain.OS),
    ]


def test_what_is_kept_of_a_header_is_short_and_has_no_nul() -> None:
    """PostgreSQL cannot store one, and the column ends there."""
    assert user_agent.plain("a\0b") == "ab"
    assert user_agent.plain("x" * 100_000) == "x" * user_agent.LONGEST
