"""`python -m bienvenue` is `bienvenue`."""

from bienvenue.cli import main

main(prog_name="bienvenue")
