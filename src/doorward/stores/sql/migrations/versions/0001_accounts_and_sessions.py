"""Accounts, sessions, revocations, signing keys, verifiers, the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Spelt out instead of taken from the schema: the schema moves on, and this says what the first one was.
_INSTANT = sa.BigInteger().with_variant(TIMESTAMP(timezone=True), "postgresql")
_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _accounts()
    _sessions()
    _revocations()
    _signing_keys()
    _verifiers()
    _audit_trail()
    _sessions_elsewhere()
    op.create_table(
        "doorward_meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_doorward_meta"),
    )


def _accounts() -> None:
    op.create_table(
        "doorward_account",
        sa.Column("id", _ID, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", _ID, nullable=False),
        sa.Column("email_verified", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("password_hash", sa.Text()),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("disabled_at", _INSTANT),
        sa.Column("searchable", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_doorward_account"),
        sa.UniqueConstraint("email_key", name="uq_doorward_account_email_key"),
        sa.CheckConstraint("version >= 0", name=op.f("ck_doorward_account_version")),
    )


def _sessions() -> None:
    op.create_table(
        "doorward_session",
        sa.Column("key", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("authenticated_at", _INSTANT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("last_seen_at", _INSTANT, nullable=False),
        sa.Column("idle_expires_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.Column("predecessor", sa.BigInteger()),
        sa.Column("first_at", _INSTANT),
        sa.Column("displaced", sa.BigInteger()),
        sa.Column("ended_at", _INSTANT),
        sa.Column("status_index", sa.BigInteger()),
        sa.Column("account_version", sa.Integer(), nullable=False),
        sa.Column("acknowledged", sa.Boolean(), nullable=False),
        sa.Column("retried", sa.Boolean(), nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", _ID, nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("attempt", sa.LargeBinary()),
        sa.Column("healed_in", sa.Text()),
        sa.Column("ended_reason", sa.Text()),
        sa.Column("label", sa.Text()),
        sa.Column("ip", sa.Text()),
        sa.Column("user_agent", sa.Text()),
        sa.Column("methods", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_doorward_session"),
        sa.UniqueConstraint("id", name="uq_doorward_session_id"),
        sa.ForeignKeyConstraint(["account"], ["doorward_account.id"], name="fk_doorward_session_account"),
        sa.CheckConstraint("length(secret_hash) = 32", name=op.f("ck_doorward_session_secret_hash")),
        sa.CheckConstraint("generation >= 0", name=op.f("ck_doorward_session_generation")),
        sa.CheckConstraint("idle_expires_at <= expires_at", name=op.f("ck_doorward_session_limits")),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_reason IS NULL)", name=op.f("ck_doorward_session_ended")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # SQLAlchemy 2.0 has no word for it in create_table.
        op.execute("ALTER TABLE doorward_session SET (fillfactor = 90)")
    op.create_index(
        "ix_doorward_session_account",
        "doorward_session",
        ["account"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    if op.get_bind().dialect.name == "sqlite":
        # PostgreSQL could not write the rotating row in place any more.
        op.create_index("ix_doorward_session_idle_expires_at", "doorward_session", ["idle_expires_at"])
    op.create_index(
        "ix_doorward_session_ended_at",
        "doorward_session",
        ["ended_at"],
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_index(
        "ix_doorward_session_status_index",
        "doorward_session",
        ["status_index"],
        sqlite_where=sa.text("status_index IS NOT NULL"),
        postgresql_where=sa.text("status_index IS NOT NULL"),
    )


def _revocations() -> None:
    op.create_table(
        "doorward_revocation",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("dies_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name="pk_doorward_revocation"),
    )
    op.create_index("ix_doorward_revocation_dies_at", "doorward_revocation", ["dies_at"])


def _signing_keys() -> None:
    op.create_table(
        "doorward_signing_key",
        sa.Column("kid", _ID, nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("public", sa.Text()),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("activates_at", _INSTANT, nullable=False),
        sa.Column("retiring_at", _INSTANT),
        sa.Column("retired_at", _INSTANT),
        sa.PrimaryKeyConstraint("kid", name="pk_doorward_signing_key"),
    )


def _verifiers() -> None:
    op.create_table(
        "doorward_verifier",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", _ID, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_doorward_verifier"),
        sa.UniqueConstraint("name", name="uq_doorward_verifier_name"),
        sa.CheckConstraint("length(secret_hash) = 32", name=op.f("ck_doorward_verifier_secret_hash")),
    )


def _audit_trail() -> None:
    op.create_table(
        "doorward_audit_event",
        sa.Column("id", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text()),
        sa.Column("ip", sa.Text()),
        sa.Column("user_agent", sa.Text()),
        sa.Column("account", _ID),
        sa.Column("session", _ID),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_doorward_audit_event"),
    )
    op.create_index("ix_doorward_audit_event_at", "doorward_audit_event", ["at"])
    op.create_index("ix_doorward_audit_event_account_id", "doorward_audit_event", ["account", "id"])
    op.create_index("ix_doorward_audit_event_session_id", "doorward_audit_event", ["session", "id"])
    op.create_index("ix_doorward_audit_event_action_id", "doorward_audit_event", ["action", "id"])


def _sessions_elsewhere() -> None:
    op.create_table(
        "doorward_session_work",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", _ID, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("work", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_doorward_session_work"),
    )
    op.create_index("ix_doorward_session_work_account", "doorward_session_work", ["account"])
    op.create_table(
        "doorward_ended_number",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dies_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_doorward_ended_number"),
    )
    op.create_index("ix_doorward_ended_number_dies_at", "doorward_ended_number", ["dies_at"])
