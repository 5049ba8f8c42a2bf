"""The command `bienvenue`, which is `python -m bienvenue` too."""

from bienvenue import stopping


def main() -> None:
    """Run the command of the arguments."""
    stopping.listen_as_first_process()
    # Loading it takes most of a second, so signals have their handler before.
    from bienvenue import cli  # noqa: PLC0415 (as above)

    cli.main(prog_name="bienvenue")


if __name__ == "__main__":
    main()
