"""Readers and their books."""

import bcrypt
from flask_login import LoginManager, UserMixin
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash

db = SQLAlchemy()
login_manager = LoginManager()
login_manager.login_view = "auth.login"


class User(UserMixin, db.Model):
    """A reader. Older readers have hashes of Werkzeug, one came with a hash of bcrypt."""

    __tablename__ = "users"

    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(254), unique=True, nullable=False)
    password_hash = db.Column(db.String(255), nullable=False)
    admin = db.Column(db.Boolean, nullable=False, default=False)
    books = db.relationship("Book", back_populates="owner")

    @classmethod
    def by_email(cls, email: str) -> "User | None":
        """Return the reader of an email."""
        return db.session.execute(db.select(cls).filter_by(email=email)).scalar_one_or_none()

    def has_password(self, password: str) -> bool:
        """Tell whether this is the password of the reader."""
        if self.password_hash.startswith("$2"):
            return bcrypt.checkpw(password.encode(), self.password_hash.encode())
        return check_password_hash(self.password_hash, password)


class Book(db.Model):
    """A book on the shelf of a reader."""

    __tablename__ = "books"

    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(200), nullable=False)
    owner_id = db.Column(db.ForeignKey("users.id"), nullable=False)
    owner = db.relationship("User", back_populates="books")


@login_manager.user_loader
def load_user(user_id: str) -> User | None:
    """Return the reader of a session."""
    return db.session.get(User, int(user_id))
