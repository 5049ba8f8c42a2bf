"""The table of imported users."""

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.user import Base, table_of


class ImportedUser(Base):
    """What another system knew of a user, and the digest of the line that created the account."""

    __tablename__ = "imported_users"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    #: SHA-256 over the values of the line, to recognise it in a second import.
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    imported_at: Mapped[float]
    #: When the user last signed in to the other system.
    last_sign_in_at: Mapped[float | None]
    #: Why the account was disabled; NULL once it is enabled.
    disabled_reason: Mapped[str | None] = mapped_column(String(512))


imported = table_of(ImportedUser)
