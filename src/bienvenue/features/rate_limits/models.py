"""The table of the counts of failures, and the settings of the rate limits."""

from pydantic import Field
from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.settings import Section
from bienvenue.user import Base, table_of


class CountRow(Base):
    """One Count as a row."""

    __tablename__ = "rate_limits"
    __table_args__ = {"sqlite_with_rowid": False}

    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(50))
    #: Whole for an account; time lowers that of a network steadily.
    failures: Mapped[float]
    unknown_device_failures: Mapped[int]
    blocked_until: Mapped[float]
    last_failed_at: Mapped[float] = mapped_column(index=True)


counts = table_of(CountRow)


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
