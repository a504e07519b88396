"""DCMTK's storescp as a witness: every sending is kept, so that one sees what came twice, and whether it differed."""

from collections import Counter
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicom_node.cli.demo_pacs import StorescpPacs


class RecordingPacs(StorescpPacs):
    """DCMTK's storescp that keeps every sending in a file of its own."""

    def command(self) -> list[str]:
        """Return the command of the parent class, with unique file names."""
        program, *options = super().command()
        return [program, "+uf", *options]

    @property
    def recorded(self) -> Path:
        """Where the files are."""
        return self._received


def sendings(folder: Path) -> dict[str, Counter[bytes]]:
    """Return what a recorder was sent: SOP Instance UID -> content of the data set -> how often."""
    found: dict[str, Counter[bytes]] = {}
    for path in folder.iterdir():
        if (dataset := read_whole(path)) is not None:
            found.setdefault(str(dataset.SOPInstanceUID), Counter())[data_set(path)] += 1
    return found


def read_whole(path: Path) -> Dataset | None:
    """Read an object; None where the sending was cut off in the middle of it."""
    try:
        dataset = dcmread(path)
        dataset.SOPInstanceUID, dataset.Modality  # noqa: B018 - they are there
    except (InvalidDicomError, AttributeError, EOFError):
        return None
    return dataset


def data_set(path: Path) -> bytes:
    """Return the bytes of a Part 10 file after its file meta information (PS3.10 section 7.1)."""
    data = path.read_bytes()
    return data[144 + int.from_bytes(data[140:144], "little") :]
