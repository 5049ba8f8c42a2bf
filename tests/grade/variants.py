"""Changed copies of the course: faults that learners' files show, styles that pass, and mischief.

A variant is the course with some texts replaced. Each text must stand in the file once.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from grade.sheet import COURSE, FILES


@dataclass(frozen=True)
class Variant:
    """One changed copy: what is replaced by what, and the task that is to be named."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    #: The task whose fault it is; 0 where the sheet allows it.
    task: int = 0

    def write(self, folder: Path) -> Path:
        """Write the four files into a folder, changed."""
        return write(folder, {self.file: self.changes})


def write(folder: Path, changes: dict[str, tuple[tuple[str, str], ...]]) -> Path:
    """Write the course into a folder, with texts replaced by file; each stands there once."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copyfile(COURSE / file, folder / file)
    for file, replaced in changes.items():
        text = (folder / file).read_text("utf-8")
        for old, new in replaced:
            assert text.count(old) == 1, f"{file}: {old!r} stands there {text.count(old)} times"
            text = text.replace(old, new)
        (folder / file).write_text(text, "utf-8")
    return folder


def together(folder: Path, *names: str) -> Path:
    """Write the course into a folder in several styles at once, as a school's pupils write it."""
    changes: dict[str, tuple[tuple[str, str], ...]] = {}
    for one in STYLES:
        if one.name in names:
            changes[one.file] = changes.get(one.file, ()) + one.changes
    return write(folder, changes)


def _fault(task: int, name: str, file: str, *changes: str) -> Variant:
    pairs = tuple(zip(changes[::2], changes[1::2], strict=True))
    return Variant(name, file, pairs, task)


_FIND = "            return session.scalars(select(User).filter_by(**kwargs).limit(1)).one()"
_STORE = "self._db.update_user(user.id, {0}={0})"
_SAVED = "        with self._session() as session:\n            session.add(user)\n"
_GUARD = "        if session_id is None:\n            return None\n"
_CHECK = (
    "            if name not in User.__table__.columns:\n"
    '                raise ValueError(f"{name} is not an attribute of a user")\n'
)
_NOT_KNOWN = (
    "        try:\n            return self._db.find_user_by(session_id=session_id)\n"
    "        except NoResultFound:\n            return None\n"
)
_NO_TOKEN = '            raise ValueError("unknown reset token") from None\n'
_SPEND = "hashed_password=hashed_password, reset_token=None"
_LOGOUT = '    AUTH.destroy_session(user.id)\n    return redirect("/")'
_WRONG = "    if not AUTH.valid_login(email, password):\n        abort(401)\n"
_TAKEN = '        return jsonify({"message": "email already registered"}), 400'
_PROFILE = '    if user is None:\n        abort(403)\n    return jsonify({"email": user.email})'
_OUT = "    if user is None:\n        abort(403)\n    AUTH.destroy_session(user.id)"

FAULTS = [
    _fault(1, "another table", "user.py", '"users"', '"user"'),
    _fault(1, "email may be missing", "user.py", "email: Mapped[str]", "email: Mapped[str | None]"),
    _fault(
        1,
        "password may be missing",
        "user.py",
        "hashed_password: Mapped[str]",
        "hashed_password: Mapped[str | None]",
    ),
    _fault(
        1,
        "everybody has a session",
        "user.py",
        "session_id: Mapped[str | None]",
        "session_id: Mapped[str]",
    ),
    _fault(1, "no reset_token", "user.py", "    reset_token: Mapped[str | None]\n", ""),
    _fault(1, "id is text", "user.py", "id: Mapped[int]", "id: Mapped[str]"),
    _fault(1, "another class", "user.py", "class User(Base)", "class Users(Base)"),
    _fault(
        2,
        "add_user without commit",
        "db.py",
        f"{_SAVED}            session.commit()\n        return user",
        f"{_SAVED}            session.flush()\n        return user",
    ),
    _fault(
        2, "add_user returns nothing", "db.py", "        return user\n", "        return None\n"
    ),
    _fault(
        2,
        "add_user mixes up its arguments",
        "db.py",
        "User(email=email, hashed_password=hashed_password)",
        "User(email=hashed_password, hashed_password=email)",
    ),
    _fault(
        2,
        "add_user takes no password",
        "db.py",
        "email: str, hashed_password: str)",
        'email: str, hashed_password: str = "")',
    ),
    _fault(3, "find_user_by returns None", "db.py", ".limit(1)).one()", ").first()"),
    _fault(3, "find_user_by wants one row", "db.py", ".limit(1)).one()", ").one()"),
    _fault(
        3, "find_user_by the last row", "db.py", ".limit(1)", ".order_by(User.id.desc()).limit(1)"
    ),
    _fault(
        3,
        "every error is NoResultFound",
        "db.py",
        "import create_engine, select\n",
        "import create_engine, select\nfrom sqlalchemy.exc import NoResultFound\n",
        _FIND,
        "            try:\n                return session.scalars(select(User).filter_by(**kwargs)"
        ".limit(1)).one()\n            except Exception:\n                raise NoResultFound",
    ),
    _fault(
        3,
        "every error is InvalidRequestError",
        "db.py",
        "import create_engine, select\n",
        "import create_engine, select\nfrom sqlalchemy.exc import InvalidRequestError\n",
        _FIND,
        "            try:\n                return session.scalars(select(User).filter_by(**kwargs)"
        ".limit(1)).one()\n            except InvalidRequestError:\n"
        "                raise InvalidRequestError",
    ),
    _fault(
        3,
        "find_user_by looks at one argument",
        "db.py",
        "filter_by(**kwargs)",
        "filter_by(**dict([*kwargs.items()][-1:]))",
    ),
    _fault(
        4,
        "update_user without commit",
        "db.py",
        "            setattr(user, name, value)\n" + _SAVED + "            session.commit()",
        "            setattr(user, name, value)\n" + _SAVED + "            session.flush()",
    ),
    _fault(
        4,
        "update_user returns the user",
        "db.py",
        "            setattr(user, name, value)\n" + _SAVED + "            session.commit()",
        "            setattr(user, name, value)\n"
        + _SAVED
        + "            session.commit()\n        return user",
    ),
    _fault(4, "update_user takes any name", "db.py", _CHECK, ""),
    _fault(4, "update_user raises KeyError", "db.py", "raise ValueError(f", "raise KeyError(f"),
    _fault(
        4,
        "update_user looks by itself",
        "db.py",
        "        user = self.find_user_by(id=user_id)",
        "        with self._session() as session:\n            user = session.get(User, user_id)",
    ),
    _fault(
        4,
        "update_user skips None",
        "db.py",
        "            setattr(user, name, value)",
        "            if value:\n                setattr(user, name, value)",
    ),
    _fault(5, "the hash is text", "auth.py", "bcrypt.gensalt())", "bcrypt.gensalt()).decode()"),
    _fault(
        5, "one salt for all", "auth.py", "bcrypt.gensalt())", 'b"$2b$12$abcdefghijklmnopqrstuu")'
    ),
    _fault(
        5,
        "not bcrypt",
        "auth.py",
        "    return bcrypt.hashpw(password.encode(), bcrypt.gensalt())",
        "    import hashlib\n    return hashlib.sha256(password.encode() + uuid.uuid4().bytes)"
        ".hexdigest().encode()",
    ),
    _fault(
        6,
        "the password in clear",
        "auth.py",
        "add_user(email, _hash_password(password).decode())",
        "add_user(email, password)",
    ),
    _fault(6, "another message", "auth.py", "{email} already exists", "{email} exists already"),
    _fault(
        6,
        "another exception",
        "auth.py",
        'raise ValueError(f"User {email} already',
        'raise KeyError(f"User {email} already',
    ),
    _fault(
        6,
        "register returns nothing",
        "auth.py",
        "            return self._db.add_user",
        "            self._db.add_user",
    ),
    _fault(
        6,
        "register hashes by itself",
        "auth.py",
        "_hash_password(password).decode())\n        raise",
        "bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode())\n        raise",
    ),
    _fault(7, "another word", "app.py", '"Bienvenue"', '"Welcome"'),
    _fault(
        7, "no JSON", "app.py", 'jsonify({"message": "Bienvenue"})', '\'{"message": "Bienvenue"}\''
    ),
    _fault(7, "also POST", "app.py", '@app.get("/")', '@app.route("/", methods=["GET", "POST"])'),
    _fault(
        8,
        "register reads the query",
        "app.py",
        '    """Register a user."""\n    email = request.form.get("email")',
        '    """Register a user."""\n    email = request.args.get("email")',
    ),
    _fault(8, "taken is 200", "app.py", _TAKEN, _TAKEN.removesuffix(", 400")),
    _fault(8, "another answer", "app.py", '"user created"', '"created"'),
    _fault(8, "another name", "app.py", "def users()", "def register_user()"),
    _fault(
        8,
        "AUTH in another name",
        "app.py",
        "AUTH = Auth()",
        "AUTHENTICATION = AUTH_ = Auth()",
        "        AUTH.register_user",
        "        AUTH_.register_user",
        "not AUTH.valid",
        "not AUTH_.valid",
        "AUTH.create_s",
        "AUTH_.create_s",
        "AUTH.destroy",
        "AUTH_.destroy",
        "AUTH.get_reset",
        "AUTH_.get_reset",
        "AUTH.update_p",
        "AUTH_.update_p",
        '    """Log out: end the session and go back to the start."""\n    user = AUTH.',
        '    """Log out: end the session and go back to the start."""\n    user = AUTH_.',
        '    """Say who is logged in."""\n    user = AUTH.',
        '    """Say who is logged in."""\n    user = AUTH_.',
    ),
    _fault(
        9,
        "an unknown email raises",
        "auth.py",
        "        except (NoResultFound, ValueError):\n            return False",
        "        except ValueError:\n            return False",
    ),
    _fault(
        9,
        "an unknown email is None",
        "auth.py",
        "        except (NoResultFound, ValueError):\n            return False",
        "        except (NoResultFound, ValueError):\n            return None",
    ),
    _fault(
        9,
        "any password",
        "auth.py",
        "            return bcrypt.checkpw(password.encode(), user.hashed_password.encode())",
        "            return bool(user)",
    ),
    _fault(
        9,
        "the text is compared",
        "auth.py",
        "            return bcrypt.checkpw(password.encode(), user.hashed_password.encode())",
        "            return _hash_password(password).decode() == user.hashed_password",
    ),
    _fault(10, "a UUID and no text", "auth.py", "return str(uuid.uuid4())", "return uuid.uuid4()"),
    _fault(
        10, "always the same", "auth.py", "return str(uuid.uuid4())", "return str(uuid.UUID(int=5))"
    ),
    _fault(
        11,
        "the session is not kept",
        "auth.py",
        f"        {_STORE.format('session_id')}\n",
        "",
    ),
    _fault(
        11,
        "another session is kept",
        "auth.py",
        _STORE.format("session_id"),
        "self._db.update_user(user.id, session_id=_generate_uuid())",
    ),
    _fault(
        11,
        "the session of the first user",
        "auth.py",
        _STORE.format("session_id"),
        "self._db.update_user(1, session_id=session_id)",
    ),
    _fault(12, "403 for 401", "app.py", "abort(401)", "abort(403)"),
    _fault(
        12,
        "no cookie",
        "app.py",
        '    response.set_cookie("session_id", AUTH.create_session(email))\n',
        "",
    ),
    _fault(12, "another cookie", "app.py", 'set_cookie("session_id"', 'set_cookie("session"'),
    _fault(12, "everybody comes in", "app.py", _WRONG, ""),
    _fault(13, "no guard against None", "auth.py", _GUARD, ""),
    _fault(
        13,
        "an unknown session raises",
        "auth.py",
        _NOT_KNOWN,
        "        return self._db.find_user_by(session_id=session_id)\n",
    ),
    _fault(
        13,
        "the wrong column",
        "auth.py",
        "find_user_by(session_id=session_id)",
        "find_user_by(reset_token=session_id)",
    ),
    _fault(14, "nothing is ended", "auth.py", "user_id, session_id=None)", "user_id)"),
    _fault(14, "an empty text", "auth.py", "user_id, session_id=None)", 'user_id, session_id="")'),
    _fault(
        14,
        "ending returns something",
        "auth.py",
        "        self._db.update_user(user_id, session_id=None)",
        "        self._db.update_user(user_id, session_id=None)\n        return True",
    ),
    _fault(15, "the session stays", "app.py", _LOGOUT, '    return redirect("/")'),
    _fault(15, "elsewhere", "app.py", _LOGOUT, _LOGOUT.replace('"/"', '"/profile"')),
    _fault(15, "no redirect", "app.py", _LOGOUT, _LOGOUT.replace('redirect("/")', "jsonify({})")),
    _fault(15, "401 for 403", "app.py", _OUT, _OUT.replace("403", "401")),
    _fault(16, "the id and no email", "app.py", '{"email": user.email}', '{"email": user.id}'),
    _fault(
        16,
        "200 for everybody",
        "app.py",
        _PROFILE,
        _PROFILE.replace("abort(403)", "return jsonify({})"),
    ),
    _fault(
        16,
        "more than the email",
        "app.py",
        '{"email": user.email}',
        '{"email": user.email, "id": user.id}',
    ),
    _fault(17, "the token is not kept", "auth.py", f"        {_STORE.format('reset_token')}\n", ""),
    _fault(
        17,
        "no ValueError",
        "auth.py",
        '            raise ValueError(f"User {email} does not exist") from None',
        '            return ""',
    ),
    _fault(
        18,
        "404 for 403",
        "app.py",
        '        abort(403)\n    return jsonify({"email": email, "reset_token"',
        '        abort(404)\n    return jsonify({"email": email, "reset_token"',
    ),
    _fault(
        18,
        "the token alone",
        "app.py",
        '{"email": email, "reset_token": reset_token}',
        '{"reset_token": reset_token}',
    ),
    _fault(19, "the token stays", "auth.py", _SPEND, "hashed_password=hashed_password"),
    _fault(
        19,
        "the new password in clear",
        "auth.py",
        "        hashed_password = _hash_password(password).decode()\n",
        "        hashed_password = password\n",
    ),
    _fault(19, "any token", "auth.py", _NO_TOKEN, "            return\n"),
    _fault(20, "another message", "app.py", '"Password updated"', '"password updated"'),
    _fault(20, "POST for PUT", "app.py", '@app.put("/reset_password")', '@app.post("/password")'),
    _fault(20, "another field", "app.py", 'form.get("new_password")', 'form.get("password")'),
]


def _style(name: str, file: str, *changes: str) -> Variant:
    return _fault(0, name, file, *changes)


_COLUMNS = (
    "    id: Mapped[int] = mapped_column(primary_key=True)\n"
    "    email: Mapped[str]\n"
    "    hashed_password: Mapped[str]\n"
    "    session_id: Mapped[str | None]\n"
    "    reset_token: Mapped[str | None]\n"
)
_OLD_COLUMNS = (
    "    id = Column(Integer, primary_key=True)\n"
    "    email = Column(String(250), nullable=False)\n"
    "    hashed_password = Column(String(250), nullable=False)\n"
    "    session_id = Column(String(250), nullable=True)\n"
    "    reset_token = Column(String(250), nullable=True)\n"
)
_IMPORTS = "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column\n"
_BASE = 'class Base(DeclarativeBase):\n    """What every model of this database starts from."""\n'
_ONE_SESSION = '''        self._engine = create_engine("sqlite:///a.db", echo=True)
        Base.metadata.drop_all(self._engine)
        Base.metadata.create_all(self._engine)
        self.__session = None

    @property
    def _session(self):
        """Give the one session."""
        if self.__session is None:
            self.__session = sessionmaker(bind=self._engine)()
        return self.__session

    def add_user(self, email: str, hashed_password: str) -> User:
        """Add."""
        user = User(email=email, hashed_password=hashed_password)
        self._session.add(user)
        self._session.commit()
        return user

    def find_user_by(self, **kwargs) -> User:
        """Find."""
        user = self._session.query(User).filter_by(**kwargs).first()
        if not user:
            raise NoResultFound
        return user

    def update_user(self, user_id: int, **kwargs) -> None:
        """Update."""
        user = self.find_user_by(id=user_id)
        for key, value in kwargs.items():
            if not hasattr(user, key):
                raise ValueError
            setattr(user, key, value)
        self._session.commit()
'''


def _of_class_db() -> str:
    text = (COURSE / "db.py").read_text("utf-8")
    return text[text.index("        self._engine = create_engine(url)") :]


STYLES = [
    _style(
        "Column and declarative_base of sqlalchemy.ext",
        "user.py",
        _IMPORTS,
        "from sqlalchemy import Column, Integer, String\n"
        "from sqlalchemy.ext.declarative import declarative_base\n",
        _BASE,
        "Base = declarative_base()\n",
        _COLUMNS,
        _OLD_COLUMNS,
    ),
    _style(
        "one session, drop_all and echo",
        "db.py",
        "from sqlalchemy.orm import sessionmaker\n",
        "from sqlalchemy.exc import NoResultFound\nfrom sqlalchemy.orm import sessionmaker\n",
        _of_class_db(),
        _ONE_SESSION,
    ),
    _style(
        "a unique email",
        "user.py",
        "email: Mapped[str]\n",
        "email: Mapped[str] = mapped_column(unique=True)\n",
    ),
    _style(
        "one column more",
        "user.py",
        "    reset_token",
        "    name: Mapped[str | None]\n    reset_token",
    ),
    _style(
        "the hash as bytes",
        "auth.py",
        "add_user(email, _hash_password(password).decode())",
        "add_user(email, _hash_password(password))",
        "hashed_password = _hash_password(password).decode()",
        "hashed_password = _hash_password(password)",
        "user.hashed_password.encode())",
        "user.hashed_password)",
    ),
    _style(
        "a refusal without words",
        "auth.py",
        'ValueError(f"User {email} does not exist") from None',
        "ValueError",
    ),
    _style(
        "create_session lets the exception out",
        "auth.py",
        "        try:\n            user = self._db.find_user_by(email=email)\n"
        "        except NoResultFound:\n            return None\n        session_id",
        "        user = self._db.find_user_by(email=email)\n        session_id",
    ),
    _style("a cost of its own", "auth.py", "bcrypt.gensalt()", "bcrypt.gensalt(rounds=10)"),
    _style(
        "names imported alone",
        "auth.py",
        "import uuid\n",
        "from uuid import uuid4\n",
        "uuid.uuid4()",
        "uuid4()",
        "import bcrypt\n",
        "from bcrypt import checkpw, gensalt, hashpw\n",
        "bcrypt.hashpw(password.encode(), bcrypt.gensalt())",
        "hashpw(bytes(password, 'utf-8'), gensalt())",
        "bcrypt.checkpw",
        "checkpw",
    ),
    _style(
        "form[...]",
        "app.py",
        '    """Register a user."""\n    email = request.form.get("email")\n'
        '    password = request.form.get("password")',
        '    """Register a user."""\n    email = request.form["email"]\n'
        '    password = request.form["password"]',
    ),
    _style(
        "a slash at the end",
        "app.py",
        '@app.post("/users")',
        '@app.route("/users/", methods=["POST"])',
        '@app.get("/profile")',
        '@app.route("/profile/", methods=["GET"], strict_slashes=True)',
    ),
    _style("201 for created", "app.py", '"user created"})', '"user created"}), 201'),
    _style("303 for redirect", "app.py", 'redirect("/")', 'redirect("/", 303)'),
    _style(
        "redirect by name",
        "app.py",
        'redirect("/")',
        'redirect(flask.url_for("index"))',
        "import os\n",
        "import os\nimport flask\n",
    ),
    _style(
        "an app with another name",
        "app.py",
        "app = Flask(__name__)\n",
        "application = Flask(__name__)\n",
        *(
            part
            for line in (
                '@app.get("/")',
                '@app.post("/users")',
                '@app.post("/sessions")',
                '@app.delete("/sessions")',
                '@app.get("/profile")',
                '@app.post("/reset_password")',
                '@app.put("/reset_password")',
            )
            for part in (line, line.replace("@app", "@application"))
        ),
        "    app.run(",
        "    application.run(",
    ),
    _style(
        "app.run without a guard",
        "app.py",
        'if __name__ == "__main__":\n'
        '    app.run(host="localhost", port=int(os.environ.get("PORT", "5000")))',
        'app.run(host="0.0.0.0", port="5000", debug=True)',
    ),
    _style("requests", "app.py", "import os\n", "import os\n\nimport requests\n"),
]
