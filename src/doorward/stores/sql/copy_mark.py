"""The mark that a copy leaves in the database that it is written to.

As long as it says that the copy is not finished, no server opens that database.  The first that opens a finished one
takes the mark away: from then on nothing is copied over it.  The name of the source goes with it, for from then on the
two are different stores; no write has been lost, so nothing is told of a store that was put back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, select

from doorward.errors import DatabaseUnusable
from doorward.stores.sql import schema
from doorward.stores.sql.transaction import Transaction

NAME = "copy"
IDENTITY = "identity"

_meta = schema.meta


class Stage(StrEnum):
    COPYING = "copying"
    SETTLING = "settling"
    """Everything has been there once; what has changed since may be missing."""

    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a copy has come.

    Args:
        source: the identity of the store that is copied.
        place: where that is, for people.
        stage: of the copy.
    """

    source: str
    place: str
    stage: Stage


def read(connection: Connection, *, hold: bool = False) -> Mark | None:
    """The mark, or None where nothing is being copied to.

    Args:
        connection: to the database.
        hold: keep it from being changed by others until the transaction ends.
    """
    statement = select(_meta.c.value).where(_meta.c.name == NAME)
    noted = connection.execute(statement.with_for_update() if hold else statement).scalar_one_or_none()
    if noted is None:
        return None
    values = json.loads(noted)
    return Mark(source=values["source"], place=values["place"], stage=Stage(values["stage"]))


def write(tx: Transaction, mark: Mark) -> None:
    value = json.dumps({"source": mark.source, "place": mark.place, "stage": mark.stage}, ensure_ascii=False)
    insert = tx.insert(_meta).values(name=NAME, value=value)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=[_meta.c.name], set_={"value": value}))


def take_over(tx: Transaction) -> None:
    """Let a server use the database, which it gives a name of its own.

    Raises:
        DatabaseUnusable: it holds a part of another one.
    """
    mark = read(tx.connection, hold=True)
    if mark is None:
        return
    if mark.stage is not Stage.FINISHED:
        raise DatabaseUnusable(
            f"The database holds an unfinished copy of {mark.place}. Finish it with the same doorward copy as before."
        )
    tx.connection.execute(delete(_meta).where(_meta.c.name.in_([NAME, IDENTITY])))
