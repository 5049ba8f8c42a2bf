"""The name of a device, from what its browser says of itself: a help for the eye, no proof."""

import functools

from bienvenue.i18n import Language

UNKNOWN = "Unknown device"
"""What a device is called whose browser no rule knows."""

LONGEST = 512
"""Characters of a User-Agent header that are looked at and stored; browsers send up to 300."""


def plain(header: str) -> str:
    """Give a User-Agent header as far as anything of ours looks at it.

    Cut before anything else: the rules that name devices are cubic on some inputs, and 32 kB held
    a process for a minute and a half (C18). PostgreSQL cannot store NUL, which some servers let
    through.
    """
    return header[:LONGEST].replace("\0", "")


def load() -> None:
    """Load the rules now, which takes half a second, and not while somebody waits."""
    _found("no rule knows this one, so all of them are loaded")


def _found(agent: str) -> tuple[str, str]:
    """Name browser and system, "" for what no rule knows; nobody asks for the rules on models."""
    # Loading the rules takes a tenth of a second, which no sign-in should wait for.
    from ua_parser import parse_os, parse_user_agent  # noqa: PLC0415 (loaded where it is needed)

    browser, system = parse_user_agent(agent), parse_os(agent)
    return browser.family if browser else "", system.family if system else ""


@functools.lru_cache(1000)
def name_of(agent: str) -> str:
    """Name a device, as "Firefox on Linux", from a User-Agent header.

    Outside of any transaction: the first of a kind takes a while.
    """
    agent = plain(agent)
    browser, system = _found(agent)
    if not browser:
        return agent.partition("/")[0][:40] or UNKNOWN
    return f"{browser} on {system}" if system else browser


def facts(ip: str, agent: str) -> dict[str, str]:
    """Give what an event says of where it came from; `device` is the name that people read."""
    return {"ip": ip, "agent": agent, "device": name_of(agent)}


def told(name: str, spoken: Language) -> str:
    """Give the name of a device in a language, for people: programs are given it as it is."""
    browser, on, system = name.rpartition(" on ")
    if on:
        return spoken.plain("{browser} on {system}", browser=browser, system=system)
    return spoken.plain("Unknown device") if name == UNKNOWN else name
