"""Indexes of tasks that begin with the project and the state, so that what is done is not stepped over.

Revision ID: 0006
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ORDERS = {"creation": "created_at", "update": "updated_at", "due": "due", "priority": "priority"}
# In these two orders, lists without a state are walked state by state.
_REPLACED = ("due", "priority")


def upgrade() -> None:
    for name, column in _ORDERS.items():
        op.create_index(f"tasks_by_status_and_{name}", "tasks", ["project_id", "status", column, "id"])
    for name in _REPLACED:
        op.drop_index(f"tasks_by_{name}", "tasks")


def downgrade() -> None:
    for name in _REPLACED:
        op.create_index(f"tasks_by_{name}", "tasks", ["project_id", _ORDERS[name], "id"])
    for name in _ORDERS:
        op.drop_index(f"tasks_by_status_and_{name}", "tasks")
