"""The commands behind `make quick`, `make check` and `make test`, written later in this commit series."""
