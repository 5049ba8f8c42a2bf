"""The tests of both halves."""
