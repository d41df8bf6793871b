"""Sessions that outlive the browser's window.

No row is written: a session that started before is remembered where a client keeps its tokens, which its carrier says.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("doorward_session", sa.Column("remembered", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("doorward_session", "remembered")
