"""words: tables and columns get the field's names, and one table has all emailed links.

Stored values stay the same: digests, MACs and ciphers (`purposes`), and the rows of the audit log,
whose bytes are sealed.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from bienvenue.table_names import named

revision = "0014"
down_revision = "0013"

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT_ONCE = 1000

#: The new kinds of emails by the old ones.
_KINDS = {
    "account_closed": "account_closed_notice",
    "account_closing": "account_closed",
    "account_kept": "account_reopened",
    "email_proof": "new_email_verification",
    "email_tried": "new_email_taken",
    "password_reset": "password_was_reset",
    "proof": "registration",
    "reset": "password_reset",
    "second_email_added": "notification_email_added",
    "second_email_proof": "notification_email_verification",
    "second_email_removed": "notification_email_removed",
}
_VERIFICATION = "notification_email_verification"
_FACTS = {"root": "mount", "second_email": "notification_email"}


def upgrade() -> None:
    """Rename columns, copy tables to their new shape, and move all links to one table."""
    _rename("users", {"created": "created_at", "disabled": "disabled_at"})
    _sessions()
    _known_devices()
    _rate_limits()
    _audit()
    _verified_emails()
    _closures_and_notification_emails()
    _messages()
    _one_time_tokens()
    for table in (
        "registrations",
        "resets",
        "invitations",
        "email_changes",
        "email_undos",
        "second_emails",
        "leavings",
        "mail",
    ):
        op.drop_table(table)


def _rename(table: str, columns: dict[str, str]) -> None:
    for old, new in columns.items():
        op.execute(f"ALTER TABLE {named(table)} RENAME COLUMN {old} TO {new}")


def _copy(old: str, new: str, columns: dict[str, str]) -> None:
    """Copy columns of every row from one table to another."""
    op.execute(
        f"INSERT INTO {named(new)} ({', '.join(columns.values())})"
        f" SELECT {', '.join(columns)} FROM {named(old)}"
    )


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _number_on(table: str, old: str) -> None:
    """Continue the ids of a table after those of the old one, so that none is reused."""
    bind, table, old = op.get_bind(), named(table), named(old)
    if bind.dialect.name == "sqlite":
        last = bind.scalar(
            sa.text("SELECT seq FROM sqlite_sequence WHERE name = :old"), {"old": old}
        )
        if last is not None:
            known = {"new": table, "last": last}
            bind.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :new"), known)
            bind.execute(sa.text("INSERT INTO sqlite_sequence VALUES (:new, :last)"), known)
        return
    op.execute(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), last_value, is_called) "
        f"FROM {old}_id_seq"
    )


def _of_a_user(table: str) -> list[Any]:
    """Return the key columns of a table that has one row for each user."""
    return [
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=f"fk_{table}_user_id", ondelete="CASCADE"
        ),
    ]


def _sessions() -> None:
    _rename(
        "sessions",
        {
            "root": "generation",
            "opened": "created_at",
            "seen": "last_seen_at",
            "expires": "expires_at",
            "fresh": "authenticated_at",
            "methods": "amr",
        },
    )
    # RFC 8176 defines the names; a session that code opened has none.
    op.execute(
        f"UPDATE {named('sessions')} SET amr = CASE amr WHEN 'password' THEN 'pwd' ELSE '' END"
    )
    op.drop_index("ix_sessions_expires", "sessions")
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _known_devices() -> None:
    op.create_table(
        "known_devices",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", sa.Double(), nullable=False),
        sa.Column("last_seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "user_id", name="pk_known_devices"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_known_devices_user_id", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_known_devices_user_id", "known_devices", ["user_id"])
    op.create_index("ix_known_devices_last_seen_at", "known_devices", ["last_seen_at"])
    names = _same("digest", "user_id") | {"first": "first_seen_at", "last": "last_seen_at"}
    _copy("devices", "known_devices", names)
    op.drop_table("devices")


def _rate_limits() -> None:
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("unknown_device_failures", sa.Integer(), nullable=False),
        sa.Column("blocked_until", sa.Double(), nullable=False),
        sa.Column("last_failed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_limits"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_rate_limits_last_failed_at", "rate_limits", ["last_failed_at"])
    changed = {
        "strangers": "unknown_device_failures",
        "until": "blocked_until",
        "last": "last_failed_at",
    }
    _copy("limits", "rate_limits", _same("key", "kind", "failures") | changed)
    op.execute(f"UPDATE {named('rate_limits')} SET kind = 'unknown' WHERE kind = 'stranger'")
    op.drop_table("limits")


def _audit() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", _big, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("commitment", sa.String(64), nullable=True),
        sa.Column("slot", sa.String(64), nullable=True),
        sa.Column("batch", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
        sa.UniqueConstraint("slot", name="uq_audit_log_slot"),
        sqlite_autoincrement=True,
    )
    row = ("id", "at", "name", "user_id", "facts", "times", "commitment", "slot", "batch")
    _copy("audit", "audit_log", _same(*row))
    _number_on("audit_log", "audit")
    op.drop_table("audit")
    op.create_index("ix_audit_log_user_id_at", "audit_log", ["user_id", "at"])
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_batch", "audit_log", ["batch"])
    op.create_table(
        "audit_batches",
        sa.Column("batch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("batch", name="pk_audit_batches"),
    )
    # Quoted, because ROWS is a keyword of SQL.
    names = _same("batch", "at", "size", '"rows"', "previous", "mac")
    _copy("audit_seals", "audit_batches", names)
    op.drop_table("audit_seals")


def _verified_emails() -> None:
    op.create_table(
        "verified_emails",
        *_of_a_user("verified_emails"),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("verified_at", sa.Double(), nullable=False),
    )
    _copy("proofs", "verified_emails", _same("user_id", "email") | {"at": "verified_at"})
    op.drop_table("proofs")


def _closures_and_notification_emails() -> None:
    op.create_table(
        "account_closures",
        *_of_a_user("account_closures"),
        sa.Column("closed_at", sa.Double(), nullable=False),
        sa.Column("delete_at", sa.Double(), nullable=False),
    )
    op.create_index("ix_account_closures_delete_at", "account_closures", ["delete_at"])
    _copy(
        "leavings",
        "account_closures",
        {"user_id": "user_id", "at": "closed_at", "due": "delete_at"},
    )
    op.create_table(
        "notification_emails",
        *_of_a_user("notification_emails"),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("verified_at", sa.Double(), nullable=False),
    )
    op.execute(
        f"INSERT INTO {named('notification_emails')} (user_id, email, verified_at) "
        f"SELECT user_id, email, since FROM {named('second_emails')} WHERE email IS NOT NULL"
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", _big, nullable=False),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("encrypted_link", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.Double(), nullable=True),
        sa.Column("problem", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("uid", name="uq_messages_uid"),
        sqlite_autoincrement=True,
    )
    changed = {
        "at": "created_at",
        "sealed": "encrypted_link",
        "expires": "expires_at",
        "due": "due_at",
        "sent": "sent_at",
    }
    same = _same("id", "uid", "kind", "user_id", "email", "facts", "state", "tries", "problem")
    _copy("mail", "messages", same | changed)
    _number_on("messages", "mail")
    for columns in (["created_at"], ["user_id"], ["state", "due_at"], ["email"]):
        op.create_index("_".join(["ix_messages", *columns]), "messages", columns)
    _rewrite_messages()
    op.create_table(
        "email_requests",
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("hour_began_at", sa.Double(), nullable=False),
        sa.Column("last_asked_at", sa.Double(), nullable=False),
        sa.Column("emails", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_email_requests"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_email_requests_last_asked_at", "email_requests", ["last_asked_at"])
    changed = {"since": "hour_began_at", "last": "last_asked_at", "letters": "emails"}
    _copy("mail_asked", "email_requests", _same("key") | changed)
    op.drop_table("mail_asked")


def _rewrite_messages() -> None:
    """Rename the kind and the facts of every email to those of the current templates."""
    bind, last, messages = op.get_bind(), 0, named("messages")
    read = sa.text(
        f"SELECT id, kind, facts FROM {messages} WHERE id > :last ORDER BY id LIMIT :most"
    )
    write = sa.text(f"UPDATE {messages} SET kind = :kind, facts = :facts WHERE id = :id")
    while rows := bind.execute(read, {"last": last, "most": _AT_ONCE}).all():
        last = rows[-1].id
        changed = []
        for row in rows:
            facts = json.loads(row.facts)
            renamed = json.dumps({_FACTS.get(name, name): facts[name] for name in facts})
            kind = _KINDS.get(row.kind, row.kind)
            changed.append({"id": row.id, "kind": kind, "facts": renamed})
        bind.execute(write, changed)


def _one_time_tokens() -> None:
    table = op.create_table(
        "one_time_tokens",
        sa.Column("id", _big, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("slot", sa.String(320), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("sent_to", sa.String(254), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("message_uid", sa.String(36), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_one_time_tokens"),
        sa.UniqueConstraint("digest", name="uq_one_time_tokens_digest"),
        sa.UniqueConstraint("uid", name="uq_one_time_tokens_uid"),
        sa.UniqueConstraint("slot", name="uq_one_time_tokens_slot"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_one_time_tokens_user_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    for columns in (["user_id", "purpose"], ["purpose", "sent_to"], ["expires_at"]):
        op.create_index("_".join(["ix_one_time_tokens", *columns]), "one_time_tokens", columns)
    bind, rows = op.get_bind(), []
    for purpose, query, made in _links():
        for row in bind.execute(sa.text(query)).mappings().all():
            values = dict(row)
            given = {name: values[name] for name in values if name in table.c} | made(row)
            given["digest"] = bytes(given["digest"])
            rows.append({"uid": str(uuid.uuid4())} | _EMPTY | given | {"purpose": purpose})
    for start in range(0, len(rows), _AT_ONCE):
        bind.execute(sa.insert(table), rows[start : start + _AT_ONCE])


_EMPTY: dict[str, Any] = {"user_id": None, "data": "{}", "message_uid": None, "slot": None}


def _one_a_user(purpose: str) -> Callable[[Any], dict[str, Any]]:
    return lambda row: {"slot": f"{purpose} {row['user_id']}"}


def _message(kind: str, whose: str) -> str:
    """Return the SQL that finds the email with the link of an account."""
    return (
        f"(SELECT max(messages.uid) FROM {named('messages')} AS messages"
        f" WHERE messages.kind = '{kind}'"
        f" AND {whose} AND messages.encrypted_link IS NOT NULL) AS message_uid"
    )


def _links() -> Iterator[tuple[str, str, Callable[[Any], dict[str, Any]]]]:
    """Yield each purpose, the SQL that reads its rows, and a function for further values."""
    yield (
        "registration",
        (
            "SELECT digest, email AS sent_to, letter AS message_uid, at AS created_at,"
            " expires AS expires_at, hashed_password"
            f" FROM {named('registrations')} ORDER BY at, digest"
        ),
        lambda row: {"data": json.dumps({"hashed_password": row["hashed_password"]})},
    )
    yield (
        "password_reset",
        (
            "SELECT resets.user_id, resets.email AS sent_to, users.reset_token AS digest,"
            " resets.expires AS created_at, resets.expires AS expires_at,"
            f" {_message('password_reset', 'messages.user_id = resets.user_id')}"
            f" FROM {named('resets')} AS resets"
            f" JOIN {named('users')} AS users ON users.id = resets.user_id"
            " WHERE users.reset_token IS NOT NULL"
        ),
        lambda row: {
            "digest": bytes.fromhex(row["digest"]),
            "slot": f"password_reset {row['user_id']}",
        },
    )
    yield (
        "invitation",
        (
            "SELECT uid, digest, email AS sent_to, at AS created_at, expires AS expires_at,"
            f" {_message('invitation', 'messages.email = invitations.email')}"
            f" FROM {named('invitations')} AS invitations ORDER BY at"
        ),
        lambda row: {"slot": f"invitation {row['sent_to']}"},
    )
    yield (
        "email_change",
        (
            "SELECT digest, user_id, new AS sent_to, letter AS message_uid, asked AS created_at,"
            f" expires AS expires_at, old, ip FROM {named('email_changes')} ORDER BY asked"
        ),
        lambda row: {
            "data": json.dumps({"ip": row["ip"], "old": row["old"]}),
            "slot": f"email_change {row['user_id']}",
        },
    )
    yield (
        "email_restore",
        (
            "SELECT digest, user_id, email AS sent_to, letter AS message_uid,"
            f" expires AS created_at, expires AS expires_at FROM {named('email_undos')} ORDER BY id"
        ),
        lambda _: {},
    )
    yield (
        "notification_email",
        (
            "SELECT digest, user_id, asked AS sent_to, expires AS created_at,"
            " expires AS expires_at,"
            f" {_message(_VERIFICATION, 'messages.email = second_emails.asked')}"
            f" FROM {named('second_emails')} AS second_emails WHERE digest IS NOT NULL"
        ),
        _one_a_user("notification_email"),
    )
    yield (
        "reopening",
        (
            "SELECT leavings.digest, leavings.user_id, users.email AS sent_to,"
            " leavings.at AS created_at, leavings.due AS expires_at,"
            f" {_message('account_closed', 'messages.user_id = leavings.user_id')}"
            f" FROM {named('leavings')} AS leavings"
            f" JOIN {named('users')} AS users ON users.id = leavings.user_id"
            " WHERE leavings.digest IS NOT NULL"
        ),
        _one_a_user("reopening"),
    )
