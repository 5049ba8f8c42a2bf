"""The accent colour: its shades for light and dark pages, each of them readable.

The contrasts are those of WCAG 2.2: 4.5 : 1 for text (1.4.3), 3 : 1 for the edge of a button
(1.4.11).
"""

import re
from dataclasses import dataclass

Colour = tuple[float, float, float]

#: Background and panels of a page, as in static/bienvenue.css.
LIGHT = ("#f5f6f8", "#ffffff")
DARK = ("#101216", "#191c22")
TEXT, EDGE = 4.5, 3.0
#: Below this contrast a patch of colour cannot be seen, unless it is vivid.
_VISIBLE, _VIVID = 1.3, 0.25
_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Shades:
    """The shades of the accent colour on light or on dark pages, each as #rrggbb."""

    #: The main button: its fill, the text on it, and its fill under a pointer.
    fill: str
    on: str
    hover: str
    #: The border of the button, visible where its fill is not.
    edge: str
    #: Links and marks on a page, and the background of what is marked.
    text: str
    tint: str


def usable_accent(accent: str) -> str:
    """Return an accent colour, #rrggbb in lower case. Raises ValueError with the reason."""
    colour = _read(accent)
    if _contrast(colour, _WHITE) < _VISIBLE and _vividness(colour) < _VIVID:
        raise ValueError("is so near to white that its button would not show on a light page")
    return accent.lower()


def shades(accent: str) -> tuple[Shades, Shades]:
    """Return the shades of an accent colour for light pages and for dark pages."""
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
    seen = _contrast(accent, panel) >= _VISIBLE or _vividness(accent) >= _VIVID
    fill = accent if seen else text
    on = max(_WHITE, (0.05, 0.05, 0.07), _BLACK, key=lambda ink: _readable(ink, fill))
    under = _mix(fill, _BLACK if on == _WHITE else _WHITE, 0.14)
    edge = fill if _contrast(fill, panel) >= EDGE else text
    return Shades(*map(_written, (fill, on, under, edge, text, tint)))


def _readable(ink: Colour, fill: Colour) -> tuple[bool, bool, float]:
    """Rank a text colour on a fill: white where it can be read, then the highest contrast."""
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
    """Mix two colours and round as a screen does: the contrast measured is the contrast shown."""
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return _read(_written((red, green, blue)))


def _vividness(colour: Colour) -> float:
    return max(colour) - min(colour)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21 (WCAG 2.2)."""
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
