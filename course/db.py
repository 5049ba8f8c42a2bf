"""The database of the exercise.

It is as weak as the exercise is: good to learn from, and not for real people's passwords.
"""

from sqlalchemy import create_engine, select
from sqlalchemy.orm import sessionmaker

from user import Base, User


class DB:
    """The table of users, and the three things one can do with it."""

    def __init__(self, url: str = "sqlite:///a.db") -> None:
        """Open the database, and make the table if it is not there yet."""
        self._engine = create_engine(url)
        Base.metadata.create_all(self._engine)
        self._session = sessionmaker(self._engine, expire_on_commit=False)

    def add_user(self, email: str, hashed_password: str) -> User:
        """Save a new user and return it."""
        user = User(email=email, hashed_password=hashed_password)
        with self._session() as session:
            session.add(user)
            session.commit()
        return user

    def find_user_by(self, **kwargs: object) -> User:
        """Return the first user with these values, or raise NoResultFound."""
        with self._session() as session:
            return session.scalars(select(User).filter_by(**kwargs).limit(1)).one()

    def update_user(self, user_id: int, **kwargs: object) -> None:
        """Give the user these values, or raise ValueError for what is not an attribute."""
        user = self.find_user_by(id=user_id)
        for name, value in kwargs.items():
            if name not in User.__table__.columns:
                raise ValueError(f"{name} is not an attribute of a user")
            setattr(user, name, value)
        with self._session() as session:
            session.add(user)
            session.commit()
