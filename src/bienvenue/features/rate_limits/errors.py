"""The refusals of the rate limits."""

from bienvenue.feature import Refusal


class TooManyAttempts(Refusal):
    """Too many wrong passwords; `Retry-After` has the seconds until the next attempt."""

    status = 429
    code = "too_many_attempts"
    message = "Too many wrong passwords. Wait before you try again."

    def __init__(self, policy: str, wait: float) -> None:
        """Take the name of the policy and the seconds to wait, for the header RateLimit."""
        super().__init__()
        self.retry_after = max(1, int(wait + 0.999))
        self.headers["RateLimit"] = f'"{policy}";r=0;t={self.retry_after}'


class NoEmailOrIP(Refusal):
    """A command names what nothing is counted for."""

    status = 400
    code = "no_email_or_ip"
    message = (
        "Name an email, an IP address or a network, as `rate-limits show` lists it; `unknown` is "
        "that of connections without an IP address."
    )


class PasswordLocked(TooManyAttempts):
    """Too many consecutive wrong passwords: the password is no longer accepted from here."""

    code = "password_locked"
    message = (
        "Too many wrong passwords in a row. Sign in from a device you've used before, or contact "
        "support."
    )
