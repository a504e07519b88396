"""A CT series in memory: headers and volume as the node reads them, without any file."""

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from ai_engine.domain import CtVolume
from ai_engine.geometry import affine_from
from dicom_node.objects.ct_series import CtSeries, SourceSlice

SPACING_KRC_MM = (2.5, 0.8, 0.7)
SHAPE = (24, 48, 40)
_ORIGIN_LPS_MM = (-30.0, -20.0, 100.0)


def series(*, head_first: bool = False, multi_frame: bool = False, **attributes: object) -> CtSeries:
    """Make a series of noise, k from the feet to the head or the other way round.

    Parameters
    ----------
    **attributes
        Header values to set in every instance, by keyword.
    """
    step = -SPACING_KRC_MM[0] if head_first else SPACING_KRC_MM[0]
    affine = affine_from(_ORIGIN_LPS_MM, (0, 0, step), (0, SPACING_KRC_MM[1], 0), (SPACING_KRC_MM[2], 0, 0))
    hu = np.random.default_rng(5).integers(-900, 200, SHAPE).astype(np.int16)
    make = _one_instance if multi_frame else _one_instance_per_slice
    datasets, slices = make(affine)
    for dataset in datasets:
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    first = datasets[0]
    return CtSeries(
        first.StudyInstanceUID,
        first.SeriesInstanceUID,
        first.FrameOfReferenceUID,
        CtVolume(hu, affine),
        tuple(slices),
        tuple(datasets),
    )


def _one_instance_per_slice(affine: np.ndarray) -> tuple[list[Dataset], list[SourceSlice]]:
    datasets, slices = [], []
    for k in range(SHAPE[0]):
        dataset = _header(f"2.25.1{k:03d}", CTImageStorage)
        dataset.ImagePositionPatient = list(affine[:3] @ [k, 0, 0, 1])
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = list(SPACING_KRC_MM[1:])
        dataset.SliceThickness = 3
        datasets.append(dataset)
        slices.append(SourceSlice(CTImageStorage, dataset.SOPInstanceUID, None))
    return datasets, slices


def _one_instance(affine: np.ndarray) -> tuple[list[Dataset], list[SourceSlice]]:
    dataset = _header("2.25.2", EnhancedCTImageStorage)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = list(SPACING_KRC_MM[1:]), 3
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    # frames are stored in the reverse order of the volume
    for k in reversed(range(SHAPE[0])):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = list(affine[:3] @ [k, 0, 0, 1])
        group.PlanePositionSequence = [position]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    slices = [SourceSlice(EnhancedCTImageStorage, dataset.SOPInstanceUID, SHAPE[0] - k) for k in range(SHAPE[0])]
    return [dataset], slices


def _header(sop_instance_uid: str, sop_class_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, sop_instance_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.3", "2.25.4"
    dataset.FrameOfReferenceUID = "2.25.5"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "P1"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19500203", "F", "071Y"
    dataset.StudyDate, dataset.StudyTime = "20210304", "101112"
    dataset.StudyID, dataset.AccessionNumber, dataset.StudyDescription = "S1", "A1", "CT Thorax"
    dataset.Modality, dataset.SeriesNumber = "CT", 2
    dataset.BodyPartExamined = "CHEST"
    dataset.Rows, dataset.Columns = SHAPE[1:]
    return dataset
