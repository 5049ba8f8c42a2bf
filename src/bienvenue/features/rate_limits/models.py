"""The settings of the rate limits."""

from pydantic import Field

from bienvenue.settings import Section


class RateLimitSettings(Section):
    """The number of failures after which attempts have to wait."""

    rate_limit_account: int = Field(
        10, ge=1, le=1000, description="Failures of an account after which each next one waits."
    )
    rate_limit_network: int = Field(
        100,
        ge=1,
        le=100_000,
        description="Failures of unknown devices of a network within a day after which each next "
        "one waits; an IPv6 /56 has four times, a /48 sixteen times as many.",
    )
