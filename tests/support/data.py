"""Where the shared, real test data lies."""

import os
from pathlib import Path

import pytest


def data_dir() -> Path:
    """Folder of the shared test data: ``EMERALD_TEST_DATA``, by default ``../shared/data`` beside the project."""
    default = Path(__file__).parents[3] / "shared" / "data"
    return Path(os.environ.get("EMERALD_TEST_DATA", default))


needs_data = pytest.mark.skipif(
    not data_dir().is_dir(), reason=f"no test data at {data_dir()}; set EMERALD_TEST_DATA to the folder that holds it"
)
