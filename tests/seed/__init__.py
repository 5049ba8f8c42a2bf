"""The contract of the exercise, tested on both halves."""
