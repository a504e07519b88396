"""The connection to the ledger: one writer at a time, readers never wait, a commit is on disk when it returns.

SQLite runs in WAL mode with ``synchronous=FULL``, so that the evidence, the results and the deliveries survive a power
cut. The one exception is the row of a received instance: it survives the end of the process, and after a power cut it
is made anew from the instance's own file, which was synced before. Writers begin IMMEDIATE, so that what a transaction
has read is still true when it writes. PostgreSQL is given the same meaning by one advisory lock that every writing
transaction holds.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import LedgerError
from dicom_node.jobs import tables

Clock = Callable[[], datetime]

_BUSY_S = 30
_BUSY_POLL_S = 0.01
# Any number will do, as long as nothing else in that database takes the same lock.
_ADVISORY_LOCK = 0x456D6572616C64


DIALECTS = ("sqlite", "postgresql")


def insert_of(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that can be told what to do about a row that is there; both databases have the same words."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def utc_now() -> datetime:
    """Return the present instant, aware, UTC."""
    return datetime.now(UTC)


class Ledger:
    """The open database, shared by threads; each process opens its own.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; missing tables are made.
    clock : callable
        Returns the present instant, aware.
    max_attempts : int
        Analyses tried before a job is reported as failed.

    Raises
    ------
    LedgerError
        The database cannot be opened, or was written by another version of the schema.
    """

    def __init__(self, url: str, clock: Clock = utc_now, max_attempts: int = 3) -> None:
        self.clock = clock
        self.max_attempts = max_attempts
        self._engine = _open(make_url(url), synced=True)
        self._writing = self._engine.execution_options(emerald_writes=True)
        self._unsynced = _open(make_url(url), synced=False)
        self._writing_unsynced = self._unsynced.execution_options(emerald_writes=True)
        self._reading = self._engine
        if self._engine.dialect.name == "postgresql":
            self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ")
        # Threads of one process queue here, in turn, instead of polling SQLite's lock.
        self._turn = threading.Lock()
        try:
            self._make_tables()
        except LedgerError:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        self._unsynced.dispose()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run one writing transaction, committed at the end of the block."""
        with self._turn, _translated(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def write_unsynced(self) -> Iterator[Connection]:
        """Run one writing transaction that survives the end of this process, but perhaps not a power cut.

        For what can be had again: an instance is durable as a file, and ``objects/spool.py`` notes it anew at start.
        """
        with self._turn, _translated(), self._writing_unsynced.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run one reading transaction: a snapshot."""
        with _translated(), self._reading.begin() as connection:
            yield connection

    def _make_tables(self) -> None:
        with self.write() as connection:
            tables.metadata.create_all(connection)
            version = connection.scalar(sa.select(tables.schema_version.c.version))
            if version is None:
                connection.execute(sa.insert(tables.schema_version).values(version=tables.SCHEMA_VERSION))
            elif version != tables.SCHEMA_VERSION:
                raise LedgerError(
                    f"the ledger has schema {version}, this version of emerald needs {tables.SCHEMA_VERSION}: "
                    "start with a new data_dir, or with the version that wrote it"
                )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # The statement and its parameters (UIDs, paths) stay in the cause; the message is the driver's.
        raise LedgerError(f"ledger: {getattr(error, 'orig', None) or type(error).__name__}") from error


def _open(url: URL, *, synced: bool) -> Engine:
    # One connection for each association thread is the most that is ever needed at once.
    engine = sa.create_engine(url, pool_size=8, max_overflow=1024)
    if url.get_backend_name() == "sqlite":
        sa.event.listen(engine, "connect", partial(_prepare_sqlite, synced=synced))
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        sa.event.listen(engine, "begin", partial(_begin_postgresql, synced=synced))
    return engine


def _prepare_sqlite(raw: Any, record: object, *, synced: bool) -> None:
    # The driver must not open transactions by itself: _begin_sqlite does.
    raw.isolation_level = None
    raw.execute(f"PRAGMA busy_timeout={_BUSY_S * 1000}")
    _enter_wal(raw)
    sync = "synchronous=FULL" if synced else "synchronous=NORMAL"
    for pragma in (sync, "foreign_keys=ON"):
        raw.execute(f"PRAGMA {pragma}")


def _enter_wal(raw: Any) -> None:
    # SQLite's own waiting leaves this out: a new file's first processes, all changing its mode, would fail at once.
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                raise
        time.sleep(_BUSY_POLL_S)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("emerald_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection, *, synced: bool) -> None:
    if not synced:
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
    if connection.get_execution_options().get("emerald_writes"):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
