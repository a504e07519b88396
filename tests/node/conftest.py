"""A ledger for each test: SQLite in its own folder, or the server that EMERALD_TEST_LEDGER names (it is emptied)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicom_node.jobs.store import Store
from dicom_node.jobs.tables import metadata
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    url = os.environ.get("EMERALD_TEST_LEDGER")
    if url is None:
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        metadata.drop_all(connection)
    engine.dispose()
    return url


@pytest.fixture
def store(ledger_url: str, clock: Clock) -> Iterator[Store]:
    store = Store(ledger_url, clock)
    yield store
    store.close()
