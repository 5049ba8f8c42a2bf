"""What this is, in one word and a number."""

VERSION = "0.1.0"

EARLIEST = 1_735_689_600
"""A moment before this version was made (seconds since 1970): a clock that shows less is wrong."""
