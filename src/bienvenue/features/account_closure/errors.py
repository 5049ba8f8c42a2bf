"""The refusals of account closure."""

from bienvenue import clock, i18n
from bienvenue.feature import Refusal
from bienvenue.features.accounts import AccountDisabled


class AccountClosed(AccountDisabled):
    """The password is right, and the account is closed."""

    code = "account_closed"
    state = "closing"
    message = (
        "This account is closed and will be deleted on {until}. To reopen it, open the link in the "
        "email we sent about it."
    )

    def __init__(self, due: float) -> None:
        """Take the time of deletion, in seconds since 1970."""
        until = clock.written(due)
        super().__init__(until=i18n.Moment(until))
        self.extensions["until"] = until


class TooManyExports(Refusal):
    """The account's data was downloaded too often in this hour."""

    status = 429
    code = "too_many_exports"
    message = "You've downloaded your data too often. Try again in 1 hour."

    def __init__(self) -> None:
        """Ask to come back in an hour."""
        super().__init__()
        self.retry_after = 3600


class WrongReopeningToken(Refusal):
    """The token reopens no closed account: it was used, or the account is deleted."""

    status = 403
    code = "wrong_reopening_token"
    heading = "This link no longer works"
    link_to = "/"
    message = "This link was already used, or the account has been deleted."


class AccountNotOpen(Refusal):
    """The account is disabled or already closed."""

    status = 409
    code = "account_not_open"
    message = "This account is disabled or already closed."


class AccountNotClosed(Refusal):
    """The account is not closed, or an administrator disabled it after it was closed."""

    status = 409
    code = "account_not_closed"
    message = "This account isn't closed, or was disabled. `users enable` opens it."
