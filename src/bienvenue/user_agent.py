"""User agents: the name of a device, from what its browser claims; it helps people, no more."""

import functools
import re

from bienvenue.i18n import Language

UNKNOWN = "Unknown device"
"""The name of a device whose browser no rule knows."""

LONGEST = 512
"""Characters of a User-Agent header that are read and stored; browsers send up to 300."""


#: How the rules end that take a name from the header as it is; people use none of these.
_ROBOT = re.compile("bot|spider|scrap|crawl|archiver|indexer", re.IGNORECASE)


def plain(header: str) -> str:
    """Return the part of a User-Agent header that the service reads.

    It is cut before anything else: the rules that name devices are cubic on some inputs, and 32 kB
    stopped a process for 91 s (C18). PostgreSQL cannot store NUL, which some servers pass on.
    """
    return header[:LONGEST].replace("\0", "")


def load() -> None:
    """Load the rules now, which takes half a second, and not during a request."""
    _found("no rule knows this one, so all of them are loaded")


def _found(agent: str) -> tuple[str, str]:
    """Return browser and system, "" for what no rule knows; the rules on models stay unused."""
    # Loading the rules takes a tenth of a second, for which no request should wait.
    from ua_parser import parse_os, parse_user_agent  # noqa: PLC0415 (loaded where it is needed)

    browser, system = parse_user_agent(agent), parse_os(agent)
    return browser.family if browser else "", system.family if system else ""


@functools.lru_cache(1000)
def name_of(agent: str) -> str:
    """Return the name of a device, for example "Firefox on Linux", from a User-Agent header.

    Call it outside of transactions: the first header of a kind takes milliseconds.
    """
    browser, system = _found(plain(agent))
    if not browser or _ROBOT.search(browser):
        # Its own words are the visitor's to choose, and emails of ours would repeat them (E25).
        return UNKNOWN
    return f"{browser} on {system}" if system else browser


def facts(ip: str, agent: str) -> dict[str, str]:
    """Return the facts of an event about its origin; `device` is the name that people read."""
    return {"ip": ip, "agent": agent, "device": name_of(agent)}


def in_language(name: str, spoken: Language) -> str:
    """Return the name of a device in a language, for people; programs get the English name."""
    browser, on, system = name.rpartition(" on ")
    if on:
        return spoken.plain("{browser} on {system}", browser=browser, system=system)
    return spoken.plain("Unknown device") if name == UNKNOWN else name
