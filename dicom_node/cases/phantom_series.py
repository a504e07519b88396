"""A volume as a CT series: CT Image Storage instances (PS3.3 A.3) that say of themselves that they show a phantom."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from ai_engine.domain import CtVolume
from ai_engine.geometry import krc_to_lps_mm

RESCALE_INTERCEPT = -1024


@dataclass(frozen=True)
class SeriesIdentity:
    """Whose series it is and when it was made.

    Attributes
    ----------
    seed : str
        All UIDs derive from it: the same seed gives the same study, whatever the pixels.
    series_number : int
        Series of one seed share study and frame of reference.
    """

    seed: str
    series_number: int = 2
    series_description: str = "Thorax phantom"
    patient_name: str = "Phantom^Thorax"
    patient_id: str = "PHANTOM-1"
    patient_sex: str = "O"
    patient_age: str = "060Y"
    accession_number: str = "PHANTOM1"
    acquired_at: datetime = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)

    def uid(self, *what: object) -> str:
        """Derive a UID under 2.25 (PS3.5 B.2) from the seed."""
        digest = hashlib.sha256("/".join(map(str, ("emerald phantom", self.seed, *what))).encode()).digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def instances(volume: CtVolume, identity: SeriesIdentity) -> Iterator[Dataset]:
    """Yield one CT image per slice of an axial volume, in the order of k, with file meta, Explicit VR Little Endian."""
    for k in range(volume.hu.shape[0]):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        _study_and_series(dataset, identity)
        _equipment(dataset)
        _image(dataset, volume, identity, k)
        _plane(dataset, volume, k)
        _pixels(dataset, volume, k)
        yield dataset


def write(volume: CtVolume, identity: SeriesIdentity, folder: Path, syntax: str = ExplicitVRLittleEndian) -> list[Path]:
    """Write the series as Part 10 files ``CT0001.dcm``... into a folder, which is made if need be.

    Parameters
    ----------
    volume : CtVolume
        Axial.
    identity : SeriesIdentity
        Header values and UIDs.
    folder : Path
        Existing files of the same names are replaced.
    syntax : str
        Transfer syntax: an uncompressed little endian one, or a lossless one that pydicom can encode.

    Returns
    -------
    list of Path
        In the order of k.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for dataset in instances(volume, identity):
        path = folder / f"CT{dataset.InstanceNumber:04d}.dcm"
        in_syntax(dataset, syntax).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def in_syntax(dataset: Dataset, syntax: str) -> Dataset:
    """Encode an instance of ``instances`` in another transfer syntax, in place; the UIDs stay, as it is lossless."""
    if UID(syntax).is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    return dataset


def _study_and_series(dataset: Dataset, identity: SeriesIdentity) -> None:
    """Fill the patient, study, series and frame of reference modules (PS3.3 C.7.1 to C.7.4)."""
    date, time = identity.acquired_at.strftime("%Y%m%d"), identity.acquired_at.strftime("%H%M%S")
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = identity.patient_name
    dataset.PatientID = identity.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = identity.patient_sex
    dataset.PatientAge = identity.patient_age
    dataset.PatientComments = "Synthetic thorax phantom. Not a patient."
    dataset.StudyInstanceUID = identity.uid("study")
    dataset.StudyID = "1"
    dataset.StudyDescription = "CT chest phantom"
    dataset.AccessionNumber = identity.accession_number
    dataset.ReferringPhysicianName = ""
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = identity.uid("series", identity.series_number)
    dataset.SeriesNumber = identity.series_number
    dataset.SeriesDescription = identity.series_description
    dataset.PatientPosition = "HFS"
    dataset.BodyPartExamined = "CHEST"
    dataset.FrameOfReferenceUID = identity.uid("frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = time
    dataset.TimezoneOffsetFromUTC = identity.acquired_at.strftime("%z")


def _equipment(dataset: Dataset) -> None:
    dataset.Manufacturer = "Emerald"
    dataset.InstitutionName = ""
    dataset.ManufacturerModelName = "Thorax phantom"
    dataset.DeviceSerialNumber = "0"
    dataset.SoftwareVersions = "0"


def _image(dataset: Dataset, volume: CtVolume, identity: SeriesIdentity, k: int) -> None:
    """Fill the image, CT image and SOP common modules (PS3.3 C.7.6.1, C.8.2.1, C.12.1)."""
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    uid = UID(identity.uid("series", identity.series_number, "instance", k))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = k + 1
    dataset.AcquisitionNumber = 1
    dataset.QualityControlImage = "YES"  # PS3.3 C.7.6.1: a phantom
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.KVP = 120
    dataset.ConvolutionKernel = "PHANTOM"
    dataset.GantryDetectorTilt = 0
    if volume.contrast:
        dataset.ContrastBolusAgent = "PHANTOM"


def _plane(dataset: Dataset, volume: CtVolume, k: int) -> None:
    """Fill the image plane module (PS3.3 C.7.6.2) from the affine."""
    spacing_k, spacing_r, spacing_c = volume.spacing_krc_mm
    position = krc_to_lps_mm(volume.affine, (k, 0, 0))
    along_row, along_column = volume.affine[:3, 2] / spacing_c, volume.affine[:3, 1] / spacing_r
    dataset.ImagePositionPatient = [round(float(value), 6) for value in position]
    dataset.ImageOrientationPatient = [round(float(value), 6) for value in (*along_row, *along_column)]
    dataset.PixelSpacing = [round(spacing_r, 6), round(spacing_c, 6)]
    dataset.SliceThickness = round(spacing_k, 6)
    dataset.SpacingBetweenSlices = round(spacing_k, 6)
    dataset.SliceLocation = round(float(position[2]), 6)


def _pixels(dataset: Dataset, volume: CtVolume, k: int) -> None:
    """Fill the image pixel module (PS3.3 C.7.6.3): unsigned 16 bit of which 12 are stored, as most scanners do."""
    stored = np.clip(volume.hu[k].astype(np.int32) - RESCALE_INTERCEPT, 0, 4095).astype("<u2")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = -600, 1500
    dataset.PixelData = stored.tobytes()
