"""The processes of the tests begin with the libraries loaded, as those of the attacks do."""

from tests.attacks import nursery

__all__ = ["nursery"]
