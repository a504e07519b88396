"""Find DICOM instances in a folder."""

import sys
from pathlib import Path

from dicom_node.domain import InstanceRef
from dicom_node.errors import InstanceUnreadable, NodeError
from dicom_node.objects import headers


def find_instances(where: Path) -> tuple[list[InstanceRef], list[str]]:
    """Return the instances below a folder (or the one file), and why each other file was left out.

    Raises
    ------
    NodeError
        There is no such file or folder, or no DICOM instance in it.
    """
    if not where.exists():
        raise NodeError(f"{where}: no such file or folder")
    files = sorted(path for path in where.rglob("*") if path.is_file()) if where.is_dir() else [where]
    instances, skipped = [], []
    for path in files:
        try:
            instances.append(headers.instance_ref(path))
        except InstanceUnreadable as error:
            skipped.append(f"{path.name}: {error}")
    if not instances:
        reasons = "".join(f"\n  {line}" for line in skipped[:5])
        raise NodeError(f"{where}: no readable DICOM instance among {len(files)} files{reasons}")
    return instances, skipped


def print_skipped(skipped: list[str]) -> None:
    """Tell on standard error which files were left out."""
    for line in skipped[:10]:
        print(f"left out: {line}", file=sys.stderr)
    if len(skipped) > 10:
        print(f"left out: {len(skipped) - 10} more", file=sys.stderr)
