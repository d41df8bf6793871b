"""The tables.

Their names begin with ``doorward_``: the database may be the application's own, with tables called ``account`` and
``session`` of its own.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    false,
)

from doorward.audit.model import Action
from doorward.keys.model import Algorithm
from doorward.revocation.model import Kind
from doorward.sessions.model import EndReason
from doorward.stores.sql.types import Hidden, Instant, JsonObject, Name, Words

VERSION_TABLE = "doorward_version"
"""Where alembic notes the revision; named apart from the application's own."""

# SQLite makes a column the row's own number only where it is called INTEGER.
_RowNumber = BigInteger().with_variant(Integer(), "sqlite")

# Cursors go by these, and sessions of one instant are told in their order: by bytes everywhere, whatever the locale.
_Id = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

account = Table(
    "doorward_account",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", _Id, nullable=False, unique=True),
    Column("email_verified", Boolean, nullable=False),
    Column("name", Text),
    Column("password_hash", Hidden),
    Column("roles", Words, nullable=False),
    Column("version", Integer, CheckConstraint("version >= 0", name="version"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    # What a search looks through: LIKE folds ASCII alone.
    Column("searchable", Text, nullable=False),
)

session = Table(
    "doorward_session",
    metadata,
    # In the order of their widths: PostgreSQL pads what stands between others, which were twenty bytes a row.
    Column("key", _RowNumber, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, CheckConstraint("generation >= 0", name="generation"), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("authenticated_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("idle_expires_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("predecessor", BigInteger),
    Column("first_at", Instant),
    Column("displaced", BigInteger),
    Column("ended_at", Instant),
    Column("status_index", BigInteger),
    Column("account_version", Integer, nullable=False),
    Column("acknowledged", Boolean, nullable=False),
    Column("retried", Boolean, nullable=False),
    Column("id", _Id, nullable=False, unique=True),
    Column("account", _Id, ForeignKey(account.c.id), nullable=False),
    Column("client", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("carrier", Text, nullable=False),
    Column("secret_hash", LargeBinary, CheckConstraint("length(secret_hash) = 32", name="secret_hash"), nullable=False),
    Column("attempt", LargeBinary),
    Column("healed_in", Text),
    Column("ended_reason", Name(EndReason)),
    Column("label", Text),
    Column("ip", Text),
    Column("user_agent", Text),
    Column("methods", Words, nullable=False),
    # A process of a version that does not know the column starts sessions, too, while servers are replaced.
    Column("remembered", Boolean, nullable=False, server_default=false()),
    CheckConstraint("idle_expires_at <= expires_at", name="limits"),
    CheckConstraint("(ended_at IS NULL) = (ended_reason IS NULL)", name="ended"),
    # Of what is over only housekeeping asks.
    Index(None, "account", sqlite_where=Column("ended_at").is_(None), postgresql_where=Column("ended_at").is_(None)),
    # Rotation and use move this column.  PostgreSQL writes a row in place only where no index has a column that moves;
    # there housekeeping does without.
    Index(None, "idle_expires_at").ddl_if(dialect="sqlite"),
    Index(
        None,
        "ended_at",
        sqlite_where=Column("ended_at").is_not(None),
        postgresql_where=Column("ended_at").is_not(None),
    ),
    Index(
        None,
        "status_index",
        sqlite_where=Column("status_index").is_not(None),
        postgresql_where=Column("status_index").is_not(None),
    ),
)

# Room on the page for rows that rotate: three of them, until the next look at the page makes room again.  A statement
# of its own, since SQLAlchemy 2.0 has no word for it in a table.
_fill_factor = DDL("ALTER TABLE doorward_session SET (fillfactor = 90)")  # type: ignore[no-untyped-call]  # SQLAlchemy's
event.listen(session, "after_create", _fill_factor.execute_if(dialect="postgresql"))

revocation = Table(
    "doorward_revocation",
    metadata,
    Column("kind", Name(Kind), primary_key=True),
    Column("id", _Id, primary_key=True),
    Column("value", Integer, nullable=False),
    Column("dies_at", Instant, nullable=False, index=True),
    Column("reason", Text),
)

signing_key = Table(
    "doorward_signing_key",
    metadata,
    Column("kid", _Id, primary_key=True),
    Column("algorithm", Name(Algorithm), nullable=False),
    Column("wrapped", Text, nullable=False),
    Column("public", JsonObject),
    Column("created_at", Instant, nullable=False),
    Column("activates_at", Instant, nullable=False),
    Column("retiring_at", Instant),
    Column("retired_at", Instant),
)

verifier = Table(
    "doorward_verifier",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", _Id, nullable=False, unique=True),
    Column("secret_hash", LargeBinary, CheckConstraint("length(secret_hash) = 32", name="secret_hash"), nullable=False),
    Column("created_at", Instant, nullable=False),
)

# The trail names accounts and sessions without a foreign key: it outlives them.
audit_event = Table(
    "doorward_audit_event",
    metadata,
    Column("id", _RowNumber, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False, index=True),
    Column("action", Name(Action), nullable=False),
    Column("actor", Text),
    Column("ip", Text),
    Column("user_agent", Text),
    Column("account", _Id),
    Column("session", _Id),
    Column("detail", JsonObject, nullable=False),
    Index(None, "account", "id"),
    Index(None, "session", "id"),
    Index(None, "action", "id"),
)

# What is to be done to sessions that are kept in Redis, until it is done.
session_work = Table(
    "doorward_session_work",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("account", _Id, nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("work", Text, nullable=False),
)

# The numbers in status lists of sessions that were ended in Redis, for as long as a token says them.
ended_number = Table(
    "doorward_ended_number",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("dies_at", Instant, nullable=False, index=True),
)

meta = Table(
    "doorward_meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
