"""Small synthetic CT instances, encoded by pydicom in any transfer syntax."""

from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG_LS = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.80"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
UID_ROOT = "1.2.826.0.1.3680043.10.999"


def ct(number: int = 1, study: str = f"{UID_ROOT}.1", side: int = 8) -> Dataset:
    """Return slice ``number`` of an axial series: ``side`` x ``side`` pixels, 2.5 mm apart."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CT_STORAGE
    ds.SOPInstanceUID = f"{study}.1.{number}"
    ds.StudyDate = "20260301"
    ds.Modality = "CT"
    ds.SeriesDescription = "Lunge Übersicht"
    ds.PatientName = "Emerald^Test"
    ds.PatientID = "EM-1"
    ds.SliceThickness = 2.5
    ds.ConvolutionKernel = "B30f"
    ds.StudyInstanceUID = study
    ds.SeriesInstanceUID = f"{study}.1"
    ds.SeriesNumber = 1
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [-100.5, -100, 2.5 * number]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.FrameOfReferenceUID = f"{study}.9"
    ds.add(_sequence())
    _add_pixels(ds, number, side)
    return ds


def _sequence() -> object:
    """Return a sequence in a sequence, both of undefined length, as scanners write them."""
    code = Dataset()
    code.CodeValue = "P5-08000"
    code.CodeMeaning = "Computed Tomography"
    step = Dataset()
    step.ScheduledProcedureStepID = "1"
    step.ScheduledProtocolCodeSequence = [code]
    step["ScheduledProtocolCodeSequence"].is_undefined_length = True
    step.is_undefined_length_sequence_item = True
    ds = Dataset()
    ds.RequestAttributesSequence = [step]
    ds["RequestAttributesSequence"].is_undefined_length = True
    return ds["RequestAttributesSequence"]


def _add_pixels(ds: Dataset, number: int, side: int) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = side
    ds.PixelSpacing = [0.7, 0.7]
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 1
    ds.RescaleIntercept = -1024
    ds.RescaleSlope = 1
    ds.PixelData = ((np.arange(side * side) * 7 + number) % 2000).astype("<i2").tobytes()
    ds["PixelData"].VR = "OW"


def encapsulated(ds: Dataset) -> Dataset:
    """Put the pixel data into fragments, as a compressed syntax has them; they cannot be decoded."""
    ds.PixelData = encapsulate([ds.PixelData])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


def as_file(ds: Dataset, transfer_syntax_uid: str = EXPLICIT_LE) -> bytes:
    """Return a whole DICOM file."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    if transfer_syntax_uid == EXPLICIT_BE:
        ds["PixelData"].value = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def data_set(ds: Dataset, transfer_syntax_uid: str = EXPLICIT_LE) -> bytes:
    """Return the encoded data set, without file meta."""
    return without_meta(as_file(ds, transfer_syntax_uid))


def without_meta(file: bytes) -> bytes:
    """Cut preamble and file meta information off a DICOM file."""
    return file[144 + int.from_bytes(file[140:144], "little") :]
