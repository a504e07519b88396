"""What is sent: a chest phantom of 300 slices of half a megabyte, and copies of it under other UIDs."""

from collections.abc import Iterator
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID

from ai_engine.domain import Laterality
from ai_engine.phantom import LungPosition, Sphere, thorax
from dicom_node.cases import phantom_series
from dicom_node.cases.phantom_series import SeriesIdentity

SHAPE, SPACING_KRC_MM = (300, 512, 512), (1.0, 0.7, 0.7)
N_SLICES = SHAPE[0]
_NODULES = (Sphere(LungPosition(Laterality.LEFT, 0.5), 12), Sphere(LungPosition(Laterality.RIGHT, 0.5), 9))


def chest(folder: Path) -> Path:
    """Return a folder with the phantom's study; it is made once, which takes half a minute."""
    if len(list(folder.glob("*.dcm"))) < N_SLICES:
        phantom_series.write(thorax(SHAPE, SPACING_KRC_MM, 7, _NODULES).volume, SeriesIdentity("bench"), folder)
    return folder


def copies(study: Path, folder: Path, n: int) -> list[Path]:
    """Return folders with copies of a study that differ from each other in every UID."""
    return [_copy(study, folder / f"copy-{number}", number) for number in range(1, n + 1)]


def part(study: Path, folder: Path, n_slices: int) -> Path:
    """Return a folder with links to the first slices of a study."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(study.iterdir())[:n_slices]:
        link = folder / path.name
        if not link.exists():
            link.symlink_to(path)
    return folder


def _copy(study: Path, folder: Path, number: int) -> Path:
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    for path, content in _renamed(study, number):
        (folder / path.name).write_bytes(content)
    return folder


def _renamed(study: Path, number: int) -> Iterator[tuple[Path, bytes]]:
    """Yield each file with one digit of every UID replaced: all lengths stay, so it can be done in the bytes."""
    for path in sorted(study.iterdir()):
        ds = dcmread(path, stop_before_pixels=True)
        content = path.read_bytes()
        for uid in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID, ds.SOPInstanceUID):
            content = content.replace(uid.encode(), _other(uid, number).encode())
        yield path, content


def _other(uid: UID, number: int) -> str:
    # the first digit after "2.25." must not be 0, the one after it may be any
    return f"{uid[:6]}{(int(uid[6]) + number) % 10}{uid[7:]}"
