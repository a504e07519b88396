"""A ledger for each test: on SQLite, and once more on PostgreSQL."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from dicom_node.jobs.store import Store
from tests.support.clock import Clock
from tests.support.postgresql import PostgresServer, missing

POSTGRESQL = pytest.param("postgresql", marks=[pytest.mark.foreign, pytest.mark.slow])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    if what := missing():
        pytest.skip(f"not installed: {what}")
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", POSTGRESQL])
def new_ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Return what gives the URL of another empty ledger each time."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql")
        return server.new_schema
    numbers = count(1)
    return lambda: f"sqlite:///{tmp_path / f'ledger-{next(numbers)}.sqlite'}"


@pytest.fixture
def ledger_url(new_ledger_url: Callable[[], str]) -> str:
    return new_ledger_url()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return a ledger for what only a file can do: fill its disk, not be there."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def store(ledger_url: str, clock: Clock) -> Iterator[Store]:
    store = Store(ledger_url, clock)
    yield store
    store.close()
