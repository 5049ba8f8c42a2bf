"""What this is, in one word and a number."""

VERSION = "0.1.0"
