"""The directory of state bodies; what is known of them to begin with, verified by nobody yet."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0108"
down_revision = "0107"

BROUGHT = Path(__file__).with_name("0108_bodies.json")
#: The day on which the names were collected: the first name counts before it too.
COLLECTED = "2026-11-24"


def upgrade() -> None:
    op.create_table(
        "body",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="see BodyKind"),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=False, comment="КАТО; empty: the country"),
        sa.Column("district", sa.Text(), nullable=False, comment="КАТО; empty: all of the region"),
        sa.Column(
            "directions", ARRAY(sa.Text()), nullable=False, comment="of point 10 of the Rules"
        ),
        sa.Column("topics", ARRAY(sa.Text()), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True, comment="the first day without it"),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="1 is the first; counts saved changes"
        ),
        sa.Column("author", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_body_version")),
        sa.CheckConstraint("district = '' OR region <> ''", name=op.f("ck_body_district")),
        sa.ForeignKeyConstraint(["parent"], ["body.code"], name=op.f("fk_body_parent_body")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_body")),
    )
    op.create_table(
        "body_name",
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False, comment="until that of the next one"),
        sa.Column("kk", sa.Text(), nullable=False),
        sa.Column("ru", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False, comment="on pages of the staff"),
        sa.ForeignKeyConstraint(["body"], ["body.code"], name=op.f("fk_body_name_body_body")),
        sa.PrimaryKeyConstraint("body", "valid_from", name=op.f("pk_body_name")),
    )
    op.create_table(
        "body_contact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column(
            "position",
            sa.SmallInteger(),
            nullable=False,
            comment="the order in which it is tried",
        ),
        sa.Column("method", sa.Text(), nullable=False, comment="see ContactMethod"),
        sa.Column(
            "value", sa.Text(), nullable=False, comment="how the body is reached, as it was typed"
        ),
        sa.Column(
            "languages", ARRAY(sa.Text()), nullable=False, comment="kk, ru; none: nobody has said"
        ),
        sa.Column(
            "hours",
            sa.Text(),
            nullable=False,
            comment="as OpenStreetMap writes them; empty: unknown",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="where it was found"),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_by", sa.Text(), nullable=True, comment="user:NAME"),
        sa.Column(
            "failed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="until it is verified again",
        ),
        sa.Column(
            "failure", sa.Text(), nullable=True, comment="what happened: it bounced, or is wrong"
        ),
        sa.CheckConstraint(
            "(verified_at IS NULL) = (verified_by IS NULL)", name=op.f("ck_body_contact_verified")
        ),
        sa.CheckConstraint(
            "(failed_at IS NULL) = (failure IS NULL)", name=op.f("ck_body_contact_failed")
        ),
        sa.ForeignKeyConstraint(["body"], ["body.code"], name=op.f("fk_body_contact_body_body")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_body_contact")),
    )
    op.create_index("ix_body_contact_body", "body_contact", ["body", "position"])
    for each in brought():
        _insert(each)


def brought() -> Iterator[dict[str, Any]]:
    """The bodies of the country, then those that each region has, by the same pattern."""
    content = json.loads(BROUGHT.read_text(encoding="utf-8"))
    yield from content["country"]
    for region in content["regions"]:
        for each in content["of_each_region"]:
            filled = {
                key: value.format(**region) if isinstance(value, str) else value
                for key, value in each.items()
            }
            yield filled | {"region": f"{region['number']}0000000"}


def _insert(body: dict[str, Any]) -> None:
    op.execute(
        sa.text(
            "INSERT INTO body (code, kind, parent, region, district, directions, topics, version,"
            " author, at) VALUES (:code, :kind, :parent, :region, '', :directions, :topics, 1,"
            " 'callcenter', now())"
        ).bindparams(
            sa.bindparam("directions", body.get("directions", []), ARRAY(sa.Text())),
            sa.bindparam("topics", body.get("topics", []), ARRAY(sa.Text())),
            code=body["code"],
            kind=body["kind"],
            parent=body.get("parent"),
            region=body.get("region", ""),
        )
    )
    op.execute(
        sa.text(
            "INSERT INTO body_name (body, valid_from, kk, ru, en)"
            " VALUES (:code, CAST(:day AS date), :kk, :ru, :en)"
        ).bindparams(code=body["code"], day=COLLECTED, kk=body["kk"], ru=body["ru"], en=body["en"])
    )
    for position, (value, source) in enumerate(body.get("telephones", {}).items()):
        op.execute(
            sa.text(
                "INSERT INTO body_contact"
                " (id, body, position, method, value, languages, hours, source)"
                " VALUES (CAST(:id AS uuid), :code, :position, 'telephone', :value, '{}', '',"
                " :source)"
            ).bindparams(
                id=str(uuid5(NAMESPACE_URL, f"{body['code']}:{value}")),
                code=body["code"],
                position=position,
                value=value,
                source=source,
            )
        )
