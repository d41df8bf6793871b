"""A whole store copied from one SQL database to another, while users stay signed in.

Both are walked in the order of their keys, range by range, and compared row by row; what the target lacks or has
otherwise is written, what the source has no more is removed.  So a copy that was broken off is begun again and finds
out by itself what is there already, and a second copy writes only what has changed.  The first pass reads one moment
of the source while servers go on writing to it; the last one keeps everybody else from writing.

What is copied are the tables of the schema, whichever they are.  Until a server opens it, the copy is called like its
source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any

from msgspec import msgpack
from sqlalchemy import Connection, delete, select

from doorward.clocks import system_clock
from doorward.errors import DatabaseUnusable
from doorward.stores.sql import copy_mark, schema
from doorward.stores.sql.copy_mark import Mark, Stage
from doorward.stores.sql.copy_sides import Side, refuse_one_database, side_of
from doorward.stores.sql.migrations import HEAD, revision_of
from doorward.stores.sql.plain_rows import Key, PlainRow, PlainTable
from doorward.stores.sql.transaction import Transaction

BATCH = 2_000
"""Rows in memory at a time, of each side."""

_meta = schema.meta
_OF_THE_STORE_ITSELF = ((copy_mark.NAME,), (copy_mark.IDENTITY,))
"""What is noted at the beginning and at the end, and not on the way."""


class Pass(StrEnum):
    COPYING = "copying"
    """Others go on writing to the source."""

    SETTLING = "settling"
    """The source is held, and both sides are compared as they are at one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a pass has come in one table.

    Args:
        during: the pass.
        table: its name.
        rows: of the source that are done with.
        total: rows that the source had when the pass began.
    """

    during: Pass
    table: str
    rows: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTable:
    """A table that both sides have alike.

    Args:
        name: of the table.
        rows: how many both have.
        written: how many of them this run wrote, those that it wrote twice counted twice.
        removed: how many rows it took from the target.
        checksum: SHA-256 of all rows in the order of their keys, hex; the same on every engine.
    """

    name: str
    rows: int
    written: int
    removed: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A copy that is finished.

    Args:
        source: where it was copied from, for people: without user and password, as the next.
        target: where it was copied to.
        tables: all of them.
        seconds: it took.
        held_seconds: for how long nobody else could write to the source.
    """

    source: str
    target: str
    tables: Sequence[CopiedTable]
    seconds: float
    held_seconds: float


def copy_database(source_url: str, target_url: str, *, report: Callable[[Progress], object] = lambda _: None) -> Copied:
    """Copy everything from one database to another; begun again, it goes on where it was.

    Args:
        source_url: of a database that servers may be using, as for ``open_store``.
        target_url: of one that is empty but for its tables, or that holds what an earlier run has copied.
        report: is told of every range.

    Raises:
        ConfigurationError: an address cannot be used for this.
        DatabaseUnusable, StoreUnavailable: as in ``Copy.run``.
    """
    with side_of(source_url) as source, side_of(target_url) as target:
        refuse_one_database(source, target)
        return Copy(source, target, report=report).run()


class Copy:
    """One run of copying.

    Args:
        source: is read.
        target: is written.  It is at the revision of this version, and empty or a copy of this very source that
            nobody has used yet.
        report: is told of every range.
        batch: rows in memory at a time, of each side.
    """

    def __init__(
        self, source: Side, target: Side, *, report: Callable[[Progress], object] = lambda _: None, batch: int = BATCH
    ) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._batch = batch
        self._theirs = _tables(target)

    def run(self) -> Copied:
        """Copy, compare, and let the target be used.

        Raises:
            DatabaseUnusable: one of the two cannot be used for this, or the target does not keep what is written to
                it; the detail names the remedy.
            StoreUnavailable: not now.  What has been copied stays.
        """
        begun = time.monotonic()
        mark = self._begin()
        first: Mapping[str, CopiedTable] = {}
        if mark.stage is Stage.COPYING:
            with self._source.at_one_moment() as source:
                first = self._pass(source, Pass.COPYING)
            self._note(replace(mark, stage=Stage.SETTLING))
        with self._source.held() as source:
            held = time.monotonic()
            tables = self._pass(source, Pass.SETTLING)
            self._finish(replace(mark, stage=Stage.FINISHED))
            held_seconds = time.monotonic() - held
        self._target.gather_statistics()
        return Copied(
            source=self._source.place,
            target=self._target.place,
            tables=[_together(table, first.get(table.name)) for table in tables.values()],
            seconds=time.monotonic() - begun,
            held_seconds=held_seconds,
        )

    # Beginning and end

    def _begin(self) -> Mark:
        with self._source.at_one_moment() as source:
            _refuse_other_revisions(source, self._source)
            identity = self._identity_of_source(source)
            self._refuse_what_cannot_be_kept(source)
        with self._target.writing() as target:
            _refuse_other_revisions(target, self._target)
            mark = self._take(target, identity)
            copy_mark.write(_transaction(target), mark)
        return mark

    def _identity_of_source(self, source: Connection) -> str:
        mark, identity = copy_mark.read(source), _identity_of(source)
        if mark is not None and mark.stage is not Stage.FINISHED:
            raise DatabaseUnusable(f"{self._source.place} is itself an unfinished copy of {mark.place}.")
        if identity is None:
            raise DatabaseUnusable(f"{self._source.place} has never been used: there is nothing to copy.")
        return identity

    def _refuse_what_cannot_be_kept(self, source: Connection) -> None:
        if self._target.engine.dialect.name != "postgresql":
            return
        for table in _tables(self._source):
            many, first = table.with_nul(source)
            if first is not None:
                raise DatabaseUnusable(
                    f"PostgreSQL cannot keep the character NUL, which is in {many:,} rows of {table.name}; the first"
                    f" is {_shown(first)}. Remove it there and begin again; nothing was copied."
                )

    def _take(self, target: Connection, identity: str) -> Mark:
        """The mark to begin with, once it is clear that nothing is lost."""
        mark = copy_mark.read(target, hold=True)
        if mark is None:
            self._refuse_what_is_in_use(target, identity)
            # What was noted when somebody looked whether it is empty.
            target.execute(delete(_meta))
            return Mark(source=identity, place=self._source.place, stage=Stage.COPYING)
        if mark.source != identity:
            raise DatabaseUnusable(
                f"{self._target.place} holds a copy of another database, {mark.place}. Name an empty one."
            )
        # Of what is finished one pass is left: servers may have gone on writing to the source.
        return replace(mark, stage=Stage.SETTLING) if mark.stage is Stage.FINISHED else mark

    def _refuse_what_is_in_use(self, target: Connection, identity: str) -> None:
        if _identity_of(target) == identity:
            raise DatabaseUnusable(
                f"{self._target.place} is the source itself, or was put there from a backup of it. Name an empty"
                " database."
            )
        for table in self._theirs:
            if table.table is not _meta and not table.is_empty(target):
                raise DatabaseUnusable(
                    f"{self._target.place} is not empty: there are rows in {table.name}. Name an empty database, whose"
                    " tables are made by: doorward migrate"
                )

    def _note(self, mark: Mark) -> None:
        with self._target.writing() as target:
            copy_mark.write(_transaction(target), mark)

    def _finish(self, mark: Mark) -> None:
        with self._target.writing() as target:
            self._target.count_on(target)
            identity = _transaction(target).insert(_meta).values(name=copy_mark.IDENTITY, value=mark.source)
            target.execute(identity.on_conflict_do_nothing())
            copy_mark.write(_transaction(target), mark)

    # Passes

    def _pass(self, source: Connection, during: Pass) -> dict[str, CopiedTable]:
        ours = _tables(self._source)
        # What a table refers to comes before it, and numbers of rows before the first of them, for whoever watches.
        begun = [Progress(during=during, table=each.name, rows=0, total=each.count(source)) for each in ours]
        walks = zip(ours, self._theirs, begun, strict=True)
        return {mine.name: self._walk(source, mine, theirs, at) for mine, theirs, at in walks}

    def _walk(self, source: Connection, mine: PlainTable, theirs: PlainTable, at: Progress) -> CopiedTable:
        """Make one table of the target like the source's."""
        checksum, done = sha256(), CopiedTable(name=mine.name, rows=0, written=0, removed=0, checksum="")
        after: Key | None = None
        while True:
            self._report(replace(at, rows=done.rows))
            page = mine.page(source, after=after, limit=self._batch)
            with self._target.writing() as target:
                self._refuse_if_taken(target)
                found = theirs.page(target, after=after, limit=self._batch)
                until = _end_of_range(mine, page, found, limit=self._batch)
                wanted, found = _up_to(mine, page, until), _up_to(mine, found, until)
                written, removed = _settle(theirs, target, wanted=wanted, found=found)
                if (written or removed) and at.during is Pass.SETTLING:
                    self._refuse_if_not_kept(theirs, target, wanted, after=after, until=until)
            checksum.update(b"".join(map(msgpack.encode, wanted)))
            done = replace(
                done, rows=done.rows + len(wanted), written=done.written + written, removed=done.removed + removed
            )
            if until is None:
                self._report(replace(at, rows=done.rows))
                return replace(done, checksum=checksum.hexdigest())
            after = until

    def _refuse_if_taken(self, target: Connection) -> None:
        # Held to the end of the transaction: of two copies to one target each range is written by one at a time.
        mark = copy_mark.read(target, hold=True)
        if mark is None or mark.stage is Stage.FINISHED:
            raise DatabaseUnusable(f"{self._target.place} was finished by somebody else meanwhile. Begin again.")

    def _refuse_if_not_kept(
        self,
        theirs: PlainTable,
        target: Connection,
        wanted: Sequence[PlainRow],
        *,
        after: Key | None,
        until: Key | None,
    ) -> None:
        kept = _up_to(theirs, theirs.page(target, after=after, limit=len(wanted) + 1), until)
        if kept != list(wanted):
            raise DatabaseUnusable(
                f"{self._target.place} does not keep what is written to it: {theirs.name} differs among the"
                f" {len(wanted):,} rows after {_shown(after)} and up to {_shown(until)}. Look for triggers on it, and"
                " for somebody else who writes there."
            )


def _settle(
    theirs: PlainTable, target: Connection, *, wanted: Sequence[PlainRow], found: Sequence[PlainRow]
) -> tuple[int, int]:
    """Make one range of the target like the source's.  Returns how many rows were written, and how many removed."""
    if wanted == found:
        return 0, 0
    there = {theirs.key_of(row): row for row in found}
    missing = [row for row in wanted if there.pop(theirs.key_of(row), None) != row]
    if there:
        theirs.remove(target, list(there))
    if missing:
        theirs.make_way(target, missing)
        theirs.write(target, missing)
    return len(missing), len(there)


def _end_of_range(
    table: PlainTable, wanted: Sequence[PlainRow], found: Sequence[PlainRow], *, limit: int
) -> Key | None:
    """The last key up to which both pages are whole; None: they are to the end."""
    ends = [table.key_of(page[-1]) for page in (wanted, found) if len(page) == limit]
    return min(ends, key=_in_order) if ends else None


def _up_to(table: PlainTable, rows: Sequence[PlainRow], until: Key | None) -> list[PlainRow]:
    return [row for row in rows if until is None or _in_order(table.key_of(row)) <= _in_order(until)]


def _in_order(key: Key) -> Any:
    """Keys of one table are of one type each, and ordered by code points as by bytes."""
    return key


def _together(last: CopiedTable, first: CopiedTable | None) -> CopiedTable:
    if first is None:
        return last
    return replace(last, written=last.written + first.written, removed=last.removed + first.removed)


def _tables(side: Side) -> list[PlainTable]:
    """The tables of the schema; what another one refers to comes before it."""
    return [
        PlainTable(table, side.engine.dialect, leave_out=_OF_THE_STORE_ITSELF if table is _meta else ())
        for table in schema.metadata.sorted_tables
    ]


def _refuse_other_revisions(connection: Connection, side: Side) -> None:
    revision = revision_of(connection)
    if revision == HEAD:
        return
    if revision is not None and revision > HEAD:
        raise DatabaseUnusable(
            f"{side.place} has revision {revision!r}, which this version of Doorward does not know: a newer one made"
            " it. Update Doorward."
        )
    has = f"has revision {revision!r} and not {HEAD!r}" if revision else "has no tables of Doorward yet"
    raise DatabaseUnusable(f"{side.place} {has}. Bring it up to date with: doorward migrate")


def _identity_of(connection: Connection) -> str | None:
    return connection.execute(select(_meta.c.value).where(_meta.c.name == copy_mark.IDENTITY)).scalar_one_or_none()


def _transaction(connection: Connection) -> Transaction:
    return Transaction(connection=connection, clock=system_clock)


def _shown(key: Key | None) -> str:
    return "the beginning or the end" if key is None else ", ".join(map(repr, key))
