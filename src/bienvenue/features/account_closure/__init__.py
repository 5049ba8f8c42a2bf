"""leaving: taking one's data along, and closing the account.

Whoever asks for it gets everything that is kept about them. Closing ends all that is open at once,
and refuses whoever signs in; the rows stay for a while, in which a letter's link opens the account
again. Then the clean-up deletes them all, in the way an administrator does (ASVS 7.4.2, 7.5.3,
14.2.7; NIST SP 800-63B-4 sections 4.6 and 5.2).
"""

from bienvenue.features.account_closure import pages as pages
from bienvenue.features.account_closure.operations import (
    AccountClosed,
    AccountClosure,
    AccountNotClosed,
    AccountNotOpen,
    WrongReopeningToken,
)

__all__ = [
    "AccountClosed",
    "AccountClosure",
    "AccountNotClosed",
    "AccountNotOpen",
    "WrongReopeningToken",
]
