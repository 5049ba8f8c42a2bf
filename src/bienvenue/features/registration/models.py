"""The tables: registrations that wait for their proof, and emails that are proven."""

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.user import Base, table_of


class PendingRegistration(Base):
    """Somebody who registered and did not prove the email yet.

    There may be several of one email: each is bound to the password chosen with it.
    """

    __tablename__ = "registrations"

    #: The digest of the token in the newest letter about it.
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), index=True)
    hashed_password: Mapped[str] = mapped_column(String(512))
    #: The name of that letter.
    letter: Mapped[str] = mapped_column(String(36))
    at: Mapped[float]
    expires: Mapped[float] = mapped_column(index=True)


class VerifiedEmail(Base):
    """The email that an account proved; it is no proof of another the account has by now."""

    __tablename__ = "proofs"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    email: Mapped[str] = mapped_column(String(254))
    at: Mapped[float]


registrations = table_of(PendingRegistration)
proofs = table_of(VerifiedEmail)
