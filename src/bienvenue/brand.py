"""Brand: what a company puts on the pages, as its colour, its logo and the links below.

Of one colour five are made for light pages and five for dark ones, so that what stands in it or on
it can be read: the contrasts are those of WCAG 2.2, 4.5 : 1 for text (1.4.3) and 3 : 1 for the
edge of what one presses (1.4.11).
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

Colour = tuple[float, float, float]

#: What pages are made of, as static/bienvenue.css has it: the ground, and the panels on it.
LIGHT = ("#f5f6f8", "#ffffff")
DARK = ("#101216", "#191c22")
TEXT, EDGE = 4.5, 3.0
#: Below this contrast a patch of colour is not seen, unless it is a vivid one.
_SEEN, _VIVID = 1.3, 0.25
_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
_LARGEST_LOGO = 256 * 1024


@dataclass(frozen=True)
class Shades:
    """What the accent colour becomes on pages of one scheme, each as #rrggbb."""

    #: The face of the main button, what is written on it, and the face under a pointer.
    fill: str
    on: str
    hover: str
    #: The line around the button, which is seen where the face alone is not.
    edge: str
    #: Links and marks on a page, and the ground of what is marked.
    text: str
    tint: str


def usable(accent: str) -> str:
    """Return a colour that pages can be accented with. Raises ValueError with the reason."""
    colour = _read(accent)
    if _contrast(colour, _WHITE) < _SEEN and _vividness(colour) < _VIVID:
        raise ValueError(
            "is so near to white that nobody would see the button it is for on a light page"
        )
    return accent.lower()


def shades(accent: str) -> tuple[Shades, Shades]:
    """Give what an accent colour becomes on light pages and on dark ones."""
    colour = _read(accent)
    return _shades(colour, LIGHT, _BLACK), _shades(colour, DARK, _WHITE)


def _shades(accent: Colour, scheme: tuple[str, str], away: Colour) -> Shades:
    ground, panel = (_read(colour) for colour in scheme)
    text, tint = next(
        (text, tint)
        for text in (_mix(accent, away, step / 50) for step in range(51))
        for tint in [_mix(panel, text, 0.09)]
        if min(_contrast(text, below) for below in (ground, panel, tint)) >= TEXT
    )
    seen = _contrast(accent, panel) >= _SEEN or _vividness(accent) >= _VIVID
    fill = accent if seen else text
    on = max(_WHITE, (0.05, 0.05, 0.07), _BLACK, key=lambda ink: _readable(ink, fill))
    under = _mix(fill, _BLACK if on == _WHITE else _WHITE, 0.14)
    edge = fill if _contrast(fill, panel) >= EDGE else text
    return Shades(*map(_written, (fill, on, under, edge, text, tint)))


def _readable(ink: Colour, fill: Colour) -> tuple[bool, bool, float]:
    """Rank what may be written on a colour: white wherever it can be read, as people expect it."""
    contrast = _contrast(ink, fill)
    return contrast >= TEXT, ink == _WHITE, contrast


def _read(colour: str) -> Colour:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError("is a colour as #3d63dd: a hash and six hexadecimal digits")
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _written(colour: Colour) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Mix two colours, and round as a screen does, so that what is measured is what is shown."""
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return _read(_written((red, green, blue)))


def _vividness(colour: Colour) -> float:
    return max(colour) - min(colour)


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    return _contrast(_read(one), _read(other))


def _contrast(one: Colour, other: Colour) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 (sRGB)
        for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# --- the links below ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """A link at the foot of every page."""

    text: str
    url: str


def footer(value: str) -> str:
    """Return the links of a foot as they were written. Raises ValueError with the reason."""
    list(links(value))
    return value


def links(value: str) -> Iterator[Link]:
    """Read `Privacy=https://example.org/privacy, Terms=https://example.org/terms`."""
    for part in re.split(r",\s*(?=[^,=]*=)", value.strip()) if value.strip() else ():
        text, _, url = (piece.strip() for piece in part.partition("="))
        if not text or not _leads_somewhere(url):
            raise ValueError(
                "is a list as Privacy=https://example.org/privacy, Terms=https://example.org/t; "
                "a URL is of http or https, and a comma in it is %2C"
            )
        yield Link(text, url)


def _leads_somewhere(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable()


# --- the logo -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Logo:
    """A picture that stands for the service."""

    data: bytes
    mimetype: str
    #: As many pixels as it says it has, or 0 where it does not say.
    width: int
    height: int

    @property
    def is_sign(self) -> bool:
        """Whether it is about as wide as high: a sign, beside which the name is written."""
        return 0 < self.width < 1.6 * self.height

    def width_at(self, height: int) -> int:
        """Give how wide it is when it is so high, so that a page keeps its place; 0 unknown."""
        return round(self.width * height / self.height) if self.height else 0


def logo(path: Path) -> Logo:
    """Read a logo. Raises OSError, or ValueError with the reason."""
    data = path.read_bytes()
    if len(data) > _LARGEST_LOGO:
        raise ValueError("is a picture of at most 256 KiB, because every page shows it")
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) > 24:  # noqa: PLR2004 (up to its size)
        width, height = struct.unpack(">II", data[16:24])
        return Logo(data, "image/png", width, height)
    found = re.search(rb"<svg\b[^>]*>", data)
    if found is None:
        raise ValueError("is a picture of type SVG or PNG")
    return Logo(data, "image/svg+xml", *_size(found[0].decode("utf-8", "replace")))


def _size(tag: str) -> tuple[int, int]:
    box = re.search(
        r"""\bviewBox\s*=\s*["']\s*[-\d.]+[\s,]+[-\d.]+[\s,]+([\d.]+)[\s,]+([\d.]+)""", tag
    )
    found = box or re.search(
        r"""(?s)\bwidth\s*=\s*["']([\d.]+)(?:px)?["'].*\bheight\s*=\s*["']([\d.]+)(?:px)?["']""",
        tag,
    )
    try:
        return (round(float(found[1])), round(float(found[2]))) if found else (0, 0)
    except ValueError:
        return 0, 0
