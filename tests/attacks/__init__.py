"""Attacks: each wins against the course or a broken build, and is refused by the service."""
