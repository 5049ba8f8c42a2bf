"""limits: how often a password may be guessed, on by default, for accounts and networks.

Every sign-in reserves its failure before it hashes, in one step of the store, so a thousand
guesses at once are admitted exactly as a thousand in a row. Only failures count: a success gives
its own reservation back. Counts survive a restart and all processes share them, and an email that
has no account is counted like one that has (NIST SP 800-63B-4 section 3.2.2; ASVS 6.1.1, 6.3.1).

The n-th failure of an account from 10 on makes the next one wait 2**(n-10) seconds, an hour at
most; of a network, from 100 on. The owner's known devices have counts of their own, so a stranger
cannot lock the owner out. A count without a failure for a day is forgotten, but for that of
consecutive failures: at 90 by strangers the password works from known devices only, at 100 in all
nowhere, until it is reset or an administrator unlocks it.
"""

from bienvenue.features.rate_limits import commands as commands
from bienvenue.features.rate_limits.operations import PasswordLocked, RateLimits, TooManyAttempts
from bienvenue.features.rate_limits.store import ALL, UNKNOWN_DEVICES, Count, Rule, Store

__all__ = [
    "ALL",
    "UNKNOWN_DEVICES",
    "Count",
    "PasswordLocked",
    "RateLimits",
    "Rule",
    "Store",
    "TooManyAttempts",
]
