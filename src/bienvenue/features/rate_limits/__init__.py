"""rate_limits: how often a password may be tried, for each account and each network.

Every sign-in reserves its failure before it hashes, in one atomic step of the store, so a thousand
concurrent attempts are limited exactly like a thousand in a row. Only failures count: a success
releases its own reservation. Counts survive a restart and all processes share them. An email
without an account is counted like any other (NIST SP 800-63B-4 section 3.2.2; ASVS 6.1.1, 6.3.1).

From the 10th failure of an account on, the n-th makes the next attempt wait 2**(n-10) seconds, at
most an hour; for a network the same holds from the 100th. Known devices have counts of their own,
so unknown devices cannot lock the owner out. A count expires after a day without a failure, except
that of consecutive failures: after 90 from unknown devices the password works from known devices
only, and after 100 in total not at all, until a password reset or an administrator unlocks it.
"""

from bienvenue.features.rate_limits import commands as commands
from bienvenue.features.rate_limits.errors import NoEmailOrIP, PasswordLocked, TooManyAttempts
from bienvenue.features.rate_limits.operations import RateLimits
from bienvenue.features.rate_limits.store import ALL, UNKNOWN_DEVICES, Count, Rule, Store

__all__ = [
    "ALL",
    "UNKNOWN_DEVICES",
    "Count",
    "NoEmailOrIP",
    "PasswordLocked",
    "RateLimits",
    "Rule",
    "Store",
    "TooManyAttempts",
]
