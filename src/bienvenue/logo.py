"""The logo of the service: an SVG or PNG file of the operator, read once."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

_LARGEST = 256 * 1024
"""Bytes of the file."""


@dataclass(frozen=True)
class Logo:
    """The picture of the service, whole."""

    data: bytes
    mimetype: str
    #: Pixels, or 0 where the picture does not say.
    width: int
    height: int

    @property
    def is_square(self) -> bool:
        """Whether it is about as wide as high, so that pages write the name beside it."""
        return 0 < self.width < 1.6 * self.height

    def width_at(self, height: int) -> int:
        """Return the width in pixels at a height in pixels, 0 where it is unknown."""
        return round(self.width * height / self.height) if self.height else 0


def read(path: Path) -> Logo:
    """Read a logo. Raises OSError, or ValueError with the reason."""
    data = path.read_bytes()
    if len(data) > _LARGEST:
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
