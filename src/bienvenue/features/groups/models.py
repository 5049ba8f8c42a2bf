"""The table of memberships."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.user import Base, table_of

LONGEST = 64
"""Characters of the name of a group."""


class GroupMembership(Base):
    """One account in one group. A group is its name, and exists while it has an account."""

    __tablename__ = "group_memberships"
    __table_args__ = {"sqlite_with_rowid": False}

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    name: Mapped[str] = mapped_column(String(LONGEST), primary_key=True, index=True)


memberships = table_of(GroupMembership)
