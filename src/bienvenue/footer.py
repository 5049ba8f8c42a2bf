"""The links at the foot of every page, as the operator writes them in one setting."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Link:
    """A link at the foot of every page."""

    text: str
    url: str


def usable_footer(value: str) -> str:
    """Return the setting as it is. Raises ValueError with the reason when it cannot be read."""
    list(links(value))
    return value


def usable_url(value: str) -> str:
    """Return a URL that a page leads to. Raises ValueError unless it is of http or https."""
    if not _is_url(value):
        raise ValueError("is a URL of http or https, as https://example.org/support")
    return value


def links(value: str) -> Iterator[Link]:
    """Yield the links of `Privacy=https://example.org/privacy, Terms=https://example.org/terms`.

    Raises ValueError with the reason.
    """
    for part in re.split(r",\s*(?=[^,=]*=)", value.strip()) if value.strip() else ():
        text, _, url = (piece.strip() for piece in part.partition("="))
        if not text or not _is_url(url):
            raise ValueError(
                "is a list as Privacy=https://example.org/privacy, Terms=https://example.org/t; "
                "a URL is of http or https, and a comma in it is %2C"
            )
        yield Link(text, url)


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable()
