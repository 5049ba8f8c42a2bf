"""The name of a device, from what its browser says of itself: a help for the eye, no proof."""

import functools

from bienvenue.language import Language

_UNKNOWN = "Unknown device"


def load() -> None:
    """Load the rules now, which takes half a second, and not while somebody waits."""
    from ua_parser import parse  # noqa: PLC0415 (loaded where devices are named)

    parse("no rule knows this one, so all of them are loaded")


@functools.lru_cache(1000)
def name_of(agent: str) -> str:
    """Name a device, as "Firefox on Linux", from a User-Agent header."""
    # Loading the rules takes a tenth of a second, which no sign-in should wait for.
    from ua_parser import parse  # noqa: PLC0415 (loaded when somebody lists devices)

    found = parse(agent)
    browser = found.user_agent.family if found.user_agent else ""
    system = found.os.family if found.os else ""
    if not browser:
        return agent.partition("/")[0][:40] or _UNKNOWN
    return f"{browser} on {system}" if system else browser


def told(name: str, spoken: Language) -> str:
    """Give the name of a device in a language, for people: programs are given it as it is."""
    browser, on, system = name.rpartition(" on ")
    if on:
        return spoken.plain("{browser} on {system}", browser=browser, system=system)
    return spoken.plain("Unknown device") if name == _UNKNOWN else name
