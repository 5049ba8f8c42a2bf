"""The tests of the course: its chapters and its end-to-end script."""
