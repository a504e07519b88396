"""What every result has in common: patient, study, series, equipment and the object's own identity.

Patient and study are the source's, attribute by attribute and in its character set; so the text that we add is plain
ASCII wherever it does not repeat the source. Dates are the job's, never the clock's: a repeated step writes the same
bytes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from ai_engine.domain import Algorithm
from dicom_node.objects import codes, patient_study, uids
from dicom_node.objects.patient_study import copy_element

MANUFACTURER = "Emerald"
MODEL_NAME = "Emerald lung CT node"
RESEARCH_USE_ONLY = "Research use only. Not for diagnosis or treatment decisions."


@dataclass(frozen=True)
class InstanceReference:
    """A stored instance, with the study and series where it lies."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class Tracked:
    """A nodule as an earlier revision of the same study reported it.

    Attributes
    ----------
    uid : str
        Tracking UID (0062,0021), the same for one nodule in every revision.
    identifier : str
        Tracking ID (0062,0020), what people read: ``"Nodule 1"``.
    centre_lps_mm : tuple of float
        Centre of its segment.
    diameter_mm : float
        Mean diameter.
    """

    uid: str
    identifier: str
    frame_of_reference_uid: str
    centre_lps_mm: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class ObjectContext:
    """What the results of one job need to know beside their content.

    Attributes
    ----------
    at : datetime
        When the job was settled, aware; written in the source's time zone where the source names one, else as it is.
    source_digest : str
        Digest of the set of received instances.
    engine_digest : str
        Digest of engine, weights, settings and the record used.
    algorithm : Algorithm
        What ran, or would have run.
    predecessor : InstanceReference or None
        The SR of the revision that this one replaces.
    earlier : tuple of Tracked
        The nodules of that revision.
    key_images : bool
        Whether any destination takes Secondary Captures.
    """

    installation_uid: str
    called_ae_title: str
    revision: int
    at: datetime
    source_digest: str
    engine_digest: str
    software_version: str
    algorithm: Algorithm
    predecessor: InstanceReference | None = None
    earlier: tuple[Tracked, ...] = ()
    key_images: bool = False

    def uid(self, *facts: str) -> str:
        """Return the UID that this job, and no other, gives to these facts."""
        job = (self.called_ae_title, self.source_digest, str(self.revision), self.engine_digest)
        return uids.derive(self.installation_uid, *job, *facts)

    @property
    def device_uid(self) -> str:
        """UID of the algorithm in this installation: another one whenever code, weights or settings change."""
        return uids.derive(self.installation_uid, "device", self.algorithm.digest)


@dataclass(frozen=True)
class ResultSeries:
    """The series that a result opens in the source's study."""

    uid: str
    number: int
    modality: str
    description: str


def new(
    template: Dataset, context: ObjectContext, series: ResultSeries, sop_class_uid: str, instance_number: int
) -> Dataset:
    """Start a result object: file meta information and all modules that do not depend on its kind.

    Parameters
    ----------
    template : Dataset
        Header of any instance of the study.
    """
    result = Dataset()
    patient_study.copy(template, result)
    when = local_time(template, context.at)
    result.SOPClassUID = sop_class_uid
    result.SOPInstanceUID = context.uid("instance", series.uid, str(instance_number))
    result.Modality = series.modality
    result.SeriesInstanceUID = series.uid
    result.SeriesNumber = series.number
    result.SeriesDescription = series.description
    result.InstanceNumber = instance_number
    result.SeriesDate = result.ContentDate = result.InstanceCreationDate = when.strftime("%Y%m%d")
    result.SeriesTime = result.ContentTime = result.InstanceCreationTime = when.strftime("%H%M%S.%f")
    result.ContentQualification = "RESEARCH"
    _equipment(result, context)
    result.ContributingEquipmentSequence = [_processing_algorithm(context, when)]
    result.file_meta = _file_meta(result)
    result.preamble = b"\0" * 128
    return result


def local_time(template: Dataset, at: datetime) -> datetime:
    """Return a moment in the time zone that the source's own dates are in, where the source names it."""
    offset = str(template.get("TimezoneOffsetFromUTC") or "")
    if len(offset) != 5 or not offset[1:].isdigit():
        return at
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    if minutes >= 24 * 60:
        return at
    return at.astimezone(timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))


def code_item(code: Code) -> Dataset:
    """Return a code as an item of a code sequence (PS3.3 section 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def image_series_attributes(template: Dataset, result: Dataset) -> None:
    """Add what only image series carry: Body Part Examined, needed wherever Laterality is not given (C.7.3.1)."""
    if not copy_element(template, result, "BodyPartExamined"):
        result.BodyPartExamined = "CHEST"


def lossy_history(source: Dataset, result: Dataset) -> None:
    """Say whether the source was lossy compressed (C.7.6.1.1.5); an empty statement means that it was not."""
    result.LossyImageCompression = "01" if source.get("LossyImageCompression") == "01" else "00"
    if result.LossyImageCompression == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            copy_element(source, result, keyword)


def encodable(text: str, result: Dataset) -> str:
    """Return a text as the character set of an object can hold it: whole, or with ``?`` for what is not ASCII."""
    declared = result.get("SpecificCharacterSet")
    encodings = convert_encodings(declared) if declared else ["ascii"]
    for encoding in encodings:
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            continue
        return text
    return text.encode("ascii", errors="replace").decode("ascii")


def _equipment(result: Dataset, context: ObjectContext) -> None:
    result.Manufacturer = MANUFACTURER
    result.ManufacturerModelName = MODEL_NAME
    result.SoftwareVersions = context.software_version
    result.DeviceSerialNumber = context.installation_uid
    # AI Results wants it in Contributing Equipment; why it stands here: docs/decisions/0004-device-uid.md
    result.DeviceUID = context.device_uid


def _processing_algorithm(context: ObjectContext, when: datetime) -> Dataset:
    """Return the Contributing Equipment item that IHE AI Results asks for (RAD TF-3 6.5.3.1)."""
    algorithm = context.algorithm
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(codes.PROCESSING_EQUIPMENT)]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = algorithm.name[:64]
    item.SoftwareVersions = [algorithm.version[:64], f"digest {algorithm.digest[:32]}"]
    item.DeviceSerialNumber = context.installation_uid
    item.ContributionDateTime = when.strftime("%Y%m%d%H%M%S.%f%z")
    what = f"Processing Algorithm, Device UID {context.device_uid}: {stages_in_words(algorithm)}"
    item.ContributionDescription = what[:1024]
    return item


def stages_in_words(algorithm: Algorithm) -> str:
    """Return what runs in each stage, for example ``"lungs: thresholds; segmentation: region growing"``."""
    return "; ".join(f"{stage}: {what}" for stage, what in algorithm.stages.items()) or algorithm.name


def _file_meta(result: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uids.IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = uids.IMPLEMENTATION_VERSION_NAME
    return meta
