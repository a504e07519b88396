"""The structural check lets good results pass and stops each one that was broken on purpose."""

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.sr.coding import Code

from dicom_node.errors import ResultInvalid
from dicom_node.objects import codes, validate
from tests.node.test_report import made
from tests.support import synthetic_ct
from tests.support.results import Case

Break = Callable[[Case], None]


def check(job: Case) -> None:
    validate.check(job.datasets, job.template, [job.series] if job.analysis else [])


@pytest.mark.parametrize("multi_frame", [False, True])
@pytest.mark.parametrize("n_nodules", [2, 1, 0, None])
def test_good_results_pass(n_nodules: int | None, multi_frame: bool) -> None:
    check(made(synthetic_ct.series(multi_frame=multi_frame), n_nodules=n_nodules))


def seg(job: Case) -> Dataset:
    return job.of_kind("seg")[0]


def sr(job: Case) -> Dataset:
    return job.of_kind("sr")[0]


def groups(job: Case) -> list[Dataset]:
    """Planar and volume group of the first nodule, then of the second."""
    return list(sr(job).ContentSequence[-2].ContentSequence)


def items(group: Dataset, name: Code) -> list[Dataset]:
    return [item for item in group.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == name.value]


def shared(job: Case) -> Dataset:
    return seg(job).SharedFunctionalGroupsSequence[0]


def frame(job: Case, i: int) -> Dataset:
    return seg(job).PerFrameFunctionalGroupsSequence[i]


def source(job: Case, i: int) -> Dataset:
    return frame(job, i).DerivationImageSequence[0].SourceImageSequence[0]


def set_to(holder: Callable[[Case], Dataset], **values: object) -> Break:
    def change(job: Case) -> None:
        for keyword, value in values.items():
            setattr(holder(job), keyword, value)

    return change


def pixels_changed(change: Callable[[np.ndarray], np.ndarray]) -> Break:
    def do(job: Case) -> None:
        dataset = seg(job)
        shape = (dataset.NumberOfFrames, dataset.Rows, dataset.Columns)
        bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")[: np.prod(shape)]
        dataset.PixelData = pack_bits(change(bits.reshape(shape)).ravel())

    return do


def first_frame_empty(frames: np.ndarray) -> np.ndarray:
    changed = frames.copy()
    changed[0] = 0
    return changed


def one_voxel_less(frames: np.ndarray) -> np.ndarray:
    changed = frames.copy()
    changed[tuple(np.argwhere(changed)[0])] = 0
    return changed


def source_swapped(job: Case) -> None:
    one, other = source(job, 0), source(job, 1)
    one.ReferencedSOPInstanceUID, other.ReferencedSOPInstanceUID = (
        other.ReferencedSOPInstanceUID,
        one.ReferencedSOPInstanceUID,
    )


def second_frame_on_the_first(job: Case) -> None:
    frame(job, 1).PlanePositionSequence = frame(job, 0).PlanePositionSequence
    frame(job, 1).DerivationImageSequence = frame(job, 0).DerivationImageSequence


def all_frames_one_slice_up(job: Case) -> None:
    for group in seg(job).PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[2] = float(position[2]) + synthetic_ct.SPACING_KRC_MM[0]


def frames_and_sources_one_slice_up(job: Case) -> None:
    """Do what an index counted from 1 does: all consistent, but over the wrong tissue."""
    by_uid = {each.sop_instance_uid: k for k, each in enumerate(job.series.slices)}
    listed = []
    for group in seg(job).PerFrameFunctionalGroupsSequence:
        reference = group.DerivationImageSequence[0].SourceImageSequence[0]
        k = by_uid[reference.ReferencedSOPInstanceUID] + 1
        reference.ReferencedSOPInstanceUID = job.series.slices[k].sop_instance_uid
        group.PlanePositionSequence[0].ImagePositionPatient = job.series.datasets[k].ImagePositionPatient
        listed.append(reference.ReferencedSOPInstanceUID)
    template = seg(job).ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    seg(job).ReferencedSeriesSequence[0].ReferencedInstanceSequence = [_to(template, uid) for uid in listed]


def _to(reference: Dataset, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference.ReferencedSOPClassUID, uid
    return item


def segment_without_frames(job: Case) -> None:
    for group in seg(job).PerFrameFunctionalGroupsSequence:
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1


def same_tracking_uid(job: Case) -> None:
    one, other = seg(job).SegmentSequence
    other.TrackingUID = one.TrackingUID


def groups_exchanged(job: Case) -> None:
    """Each nodule's numbers under the other one's name."""
    _, first, _, second = groups(job)
    one, other = items(first, codes.TRACKING_UNIQUE_IDENTIFIER)[0], items(second, codes.TRACKING_UNIQUE_IDENTIFIER)[0]
    one.UID, other.UID = other.UID, one.UID


def group_dropped(job: Case) -> None:
    del sr(job).ContentSequence[-2].ContentSequence[-1]


def outline_shifted(job: Case) -> None:
    region = items(groups(job)[0], codes.IMAGE_REGION)[0]
    region.GraphicData = [value + 9 for value in region.GraphicData]


def outline_on_another_slice(job: Case) -> None:
    image = items(groups(job)[0], codes.IMAGE_REGION)[0].ContentSequence[0].ReferencedSOPSequence[0]
    image.ReferencedSOPInstanceUID = job.series.slices[0].sop_instance_uid


def evidence_without_the_segmentation(job: Case) -> None:
    del sr(job).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[-1]


def evidence_of_something_else(job: Case) -> None:
    reference = (
        sr(job).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    )
    reference.ReferencedSOPInstanceUID = "2.25.999"


def research_use_unsaid(job: Case) -> None:
    del sr(job).ContentSequence[-1].ContentSequence[-1]


def volume_said(job: Case, value: float) -> None:
    items(groups(job)[1], codes.VOLUME)[0].MeasuredValueSequence[0].NumericValue = value


def measures(job: Case) -> Dataset:
    return shared(job).PixelMeasuresSequence[0]


BROKEN: dict[str, tuple[Break, str]] = {
    "another patient": (set_to(seg, PatientID="P2"), "PatientID differs"),
    "another patient's age in the report": (set_to(sr, PatientAge="072Y"), "PatientAge differs"),
    "another study": (set_to(sr, StudyInstanceUID="2.25.9"), "StudyInstanceUID differs"),
    "patient study attribute lost": (lambda job: delattr(seg(job), "StudyDescription"), "StudyDescription differs"),
    "not marked as research": (set_to(seg, ContentQualification="PRODUCT"), "RESEARCH"),
    "no algorithm": (lambda job: delattr(sr(job), "ContributingEquipmentSequence"), "which algorithm"),
    "two objects of one identity": (lambda job: job.results.append(job.results[0]), "same SOP Instance UID"),
    "in the series of the source": (set_to(seg, SeriesInstanceUID="2.25.4"), "series of the source"),
    "meta information of another object": (
        lambda job: setattr(seg(job).file_meta, "MediaStorageSOPInstanceUID", "2.25.9"),
        "file meta",
    ),
    "another frame of reference": (set_to(seg, FrameOfReferenceUID="2.25.9"), "frame of reference"),
    "rows and columns exchanged": (set_to(seg, Rows=40, Columns=48), "pixels, the source has others"),
    "pixel spacing exchanged": (set_to(measures, PixelSpacing=[0.7, 0.8]), "pixel spacing"),
    "another slice spacing": (set_to(measures, SpacingBetweenSlices=3), "slice spacing"),
    "another orientation": (
        lambda job: setattr(shared(job).PlaneOrientationSequence[0], "ImageOrientationPatient", [1, 0, 0, 0, -1, 0]),
        "orientation",
    ),
    "no referenced series": (lambda job: delattr(seg(job), "ReferencedSeriesSequence"), "refer to exactly one series"),
    "another referenced series": (
        lambda job: setattr(seg(job).ReferencedSeriesSequence[0], "SeriesInstanceUID", "2.25.9"),
        "not analysed",
    ),
    "referenced series incomplete": (
        lambda job: seg(job).ReferencedSeriesSequence[0].ReferencedInstanceSequence.pop(),
        "missing in Referenced Series",
    ),
    "pixel data cut": (lambda job: setattr(seg(job), "PixelData", seg(job).PixelData[:-2]), "pixel data"),
    "a frame group too many": (
        lambda job: seg(job).PerFrameFunctionalGroupsSequence.append(frame(job, 0)),
        "number of frames",
    ),
    "an empty frame": (pixels_changed(first_frame_empty), "a frame is empty"),
    "a voxel lost": (pixels_changed(one_voxel_less), "volume"),
    "frames flipped": (pixels_changed(lambda frames: frames[:, ::-1]), "mean attenuation"),
    "frames shifted": (pixels_changed(lambda frames: np.roll(frames, 2, axis=2)), "mean attenuation"),
    "frames one slice up": (all_frames_one_slice_up, "beside its source image"),
    "frames and sources one slice up": (frames_and_sources_one_slice_up, "mean attenuation"),
    "source images exchanged": (source_swapped, "beside its source image"),
    "source image unknown": (
        lambda job: setattr(source(job, 0), "ReferencedSOPInstanceUID", "2.25.9"),
        "not in the source",
    ),
    "two frames at one place": (second_frame_on_the_first, "same place"),
    "a segment without frames": (segment_without_frames, "no frame"),
    "two segments of one identity": (same_tracking_uid, "same tracking UID"),
    "segment numbers with a gap": (
        lambda job: setattr(seg(job).SegmentSequence[1], "SegmentNumber", 3),
        "numbered",
    ),
    "a nodule that is not in the report": (group_dropped, "different tracking UIDs"),
    "two nodules exchanged": (groups_exchanged, "another nodule's segment"),
    "segment number exchanged": (
        lambda job: setattr(
            items(groups(job)[1], codes.REFERENCED_SEGMENT)[0].ReferencedSOPSequence[0], "ReferencedSegmentNumber", 2
        ),
        "another nodule's segment",
    ),
    "another volume": (lambda job: volume_said(job, 1.0), "the segment has"),
    "outline beside the nodule": (outline_shifted, "outline lies beside"),
    "outline on another slice": (outline_on_another_slice, "where its segment is not"),
    "segmentation not in the evidence": (evidence_without_the_segmentation, "evidence lacks"),
    "evidence that does not exist": (evidence_of_something_else, "does not exist"),
    "verified": (set_to(sr, VerificationFlag="VERIFIED"), "verified"),
    "research use unsaid": (research_use_unsaid, "research only"),
    "no report": (lambda job: job.results.pop(), "0 reports"),
    "a key image of something else": (
        lambda job: setattr(job.of_kind("key_images")[0].SourceImageSequence[0], "ReferencedSOPInstanceUID", "2.25.9"),
        "not in the source",
    ),
    "a key image that does not warn": (
        lambda job: setattr(job.of_kind("key_images")[0], "ImageComments", ""),
        "research",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_result_is_stopped_and_the_reason_is_said(what: str) -> None:
    job = made()
    do, reason = BROKEN[what]
    do(job)
    with pytest.raises(ResultInvalid, match=reason):
        check(job)


def test_the_reason_names_no_patient_and_only_the_end_of_a_uid() -> None:
    job = made()
    seg(job).PatientID = "P2"
    with pytest.raises(ResultInvalid) as caught:
        check(job)
    assert "P2" not in str(caught.value)
    assert "Doe" not in str(caught.value)
    assert str(seg(job).SOPInstanceUID) not in str(caught.value)
