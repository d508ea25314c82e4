"""The first schema."""

from alembic import op
import sqlalchemy as sa

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "deals",
        sa.Column("unit_id", sa.String, primary_key=True),
        sa.Column("deal_id", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("create_time", sa.String, nullable=False, index=True),
        sa.Column("discharge_unit_id", sa.String, nullable=False),
        sa.Column("charge_unit_id", sa.String, nullable=False),
        sa.Column("amount_wh", sa.Float, nullable=False),
        sa.Column("cumulate_amount_wh", sa.Float, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "transitions",
        sa.Column("unit_id", sa.String, primary_key=True),
        sa.Column("deal_id", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("time", sa.String, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
    )
    op.create_table(
        "energy",
        sa.Column("unit_id", sa.String, primary_key=True),
        sa.Column("deal_id", sa.String, primary_key=True),
        sa.Column("of_unit_id", sa.String, primary_key=True),
        sa.Column("side", sa.String, nullable=False),
        sa.Column("battery_wh", sa.Float, nullable=False),
        sa.Column("grid_wh", sa.Float, nullable=False),
        sa.Column("loss_wh", sa.Float, nullable=False),
        sa.Column("estimated_wh", sa.Float, nullable=False),
        sa.Column("points", sa.Float, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
    )
    op.create_table(
        "readings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("unit_id", sa.String, nullable=False),
        sa.Column("time", sa.String, nullable=False),
        sa.Column("state_of_charge_pct", sa.Float),
        sa.Column("mode", sa.String),
        sa.Column("grid_voltage_v", sa.Float),
        sa.Column("grid_current_a", sa.Float),
        sa.Column("grid_power_w", sa.Float),
        sa.Column("battery_power_w", sa.Float),
    )
    op.create_index("readings_by_unit_and_time", "readings", ["unit_id", "time"])
    op.create_table(
        "errors",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("unit_id", sa.String, nullable=False),
        sa.Column("time", sa.String, nullable=False),
        sa.Column("of_unit_id", sa.String, nullable=False),
        sa.Column("category", sa.String, nullable=False),
        sa.Column("extent", sa.String, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_table(
        "modes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("unit_id", sa.String, nullable=False),
        sa.Column("time", sa.String, nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("mode", sa.String),
        sa.Column("who", sa.String, nullable=False),
    )
    op.create_table(
        "scenarios",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("unit_id", sa.String, nullable=False),
        sa.Column("time", sa.String, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_table(
        "states",
        sa.Column("unit_id", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
