"""account_closure: download the data of an account, and close it.

A user downloads everything the service stores about them. Closing an account ends its sessions and
refuses further sign-ins. The rows stay for a grace period, in which the link of an email reopens
the account. After that the clean-up deletes the account as an administrator does (ASVS 7.4.2,
7.5.3, 14.2.7; NIST SP 800-63B-4 sections 4.6 and 5.2).
"""

from bienvenue.features.account_closure import commands as commands
from bienvenue.features.account_closure import pages as pages
from bienvenue.features.account_closure.errors import (
    AccountClosed,
    AccountNotClosed,
    AccountNotOpen,
    TooManyExports,
    WrongReopeningToken,
)
from bienvenue.features.account_closure.operations import AccountClosure

__all__ = [
    "AccountClosed",
    "AccountClosure",
    "AccountNotClosed",
    "AccountNotOpen",
    "TooManyExports",
    "WrongReopeningToken",
]
