"""Small CT series on disk, made from real slices, and changed as a test needs them."""

import copy
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node.domain import InstanceRef
from dicom_node.objects.headers import instance_ref
from tests.support.data import data_dir

STEP = 8  # every 8th pixel of 512: a slice of 64 x 64 real pixels decodes in no time


def refs_in(folder: Path) -> list[InstanceRef]:
    """All instances of a folder."""
    return [instance_ref(path) for path in sorted(folder.iterdir())]


def small_chest(n: int = 24) -> list[Dataset]:
    """Slices of LIDC-IDRI-0001 around its nodule, z from -137.5 mm upwards by 2.5 mm, thinned out to 64 x 64 pixels."""
    return copy.deepcopy(_small_chest()[:n])


@lru_cache(maxsize=1)
def _small_chest() -> list[Dataset]:
    files = (data_dir() / "ct-chest/lidc-idri-0001/dicom").iterdir()
    slices = sorted((pydicom.dcmread(file) for file in files), key=lambda ds: float(ds.ImagePositionPatient[2]))
    wanted = [ds for ds in slices if float(ds.ImagePositionPatient[2]) >= -138][:40]
    for ds in wanted:
        set_pixels(ds, ds.pixel_array[::STEP, ::STEP])
        ds.PixelSpacing = [float(value) * STEP for value in ds.PixelSpacing]
    return wanted


def set_pixels(ds: Dataset, stored: np.ndarray) -> None:
    """Put other stored values into a slice, uncompressed."""
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.Rows, ds.Columns = stored.shape
    ds.PixelData = np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder("<")).tobytes()
    ds["PixelData"].VR = "OW"
    ds["PixelData"].is_undefined_length = False


def write(
    folder: Path, datasets: Iterable[Dataset], name: Callable[[int], str] = "{:04d}.dcm".format
) -> list[InstanceRef]:
    """Write instances as files and describe them as reception does."""
    folder.mkdir(parents=True, exist_ok=True)
    refs = []
    for i, ds in enumerate(datasets):
        path = folder / name(i)
        ds.file_meta.MediaStorageSOPInstanceUID = UID(ds.SOPInstanceUID)
        ds.save_as(path, enforce_file_format=True)
        refs.append(instance_ref(path))
    return refs


def renamed(datasets: Iterable[Dataset], suffix: str) -> list[Dataset]:
    """Copy instances under other SOP Instance UIDs."""
    copies = [copy.deepcopy(ds) for ds in datasets]
    for ds in copies:
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID[:58]}.{suffix}"
    return copies


def position(ds: Dataset) -> np.ndarray:
    """Image Position (Patient) as an array."""
    return np.array(ds.ImagePositionPatient, dtype=float)


def shift(ds: Dataset, by_lps_mm: Iterable[float]) -> None:
    """Move Image Position (Patient)."""
    move(ds, np.add(position(ds), list(by_lps_mm)))


def move(ds: Dataset, lps_mm: Iterable[float]) -> None:
    """Set Image Position (Patient)."""
    ds.ImagePositionPatient = [f"{value:.6f}" for value in lps_mm]
