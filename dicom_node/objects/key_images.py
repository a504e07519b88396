"""One Secondary Capture for each nodule: what a PACS shows that knows neither segmentations nor reports.

Not a result in the sense of IHE AI Results, which wants meaning that machines can read; a fallback in addition.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.objects import codes, composite, overlay, words
from dicom_node.objects.composite import ObjectContext, ResultSeries, code_item
from dicom_node.objects.ct_series import CtSeries
from dicom_node.objects.seg import source_item
from dicom_node.objects.tracking import TrackedFinding


def encode(
    series: CtSeries,
    found: Sequence[TrackedFinding],
    template: Dataset,
    context: ObjectContext,
    result_series: ResultSeries,
) -> list[Dataset]:
    """Return one key image for each finding of a series, in their order."""
    return [
        _instance(series, found, each, composite.new(template, context, result_series, SecondaryCaptureImageStorage, i))
        for i, each in enumerate(found, start=1)
    ]


def _instance(series: CtSeries, found: Sequence[TrackedFinding], subject: TrackedFinding, result: Dataset) -> Dataset:
    k = subject.finding.measurements.key_slice_k
    source = source_item(series, k)
    source.PurposeOfReferenceCodeSequence = [code_item(codes.SOURCE_FOR_PROCESSING)]
    composite.image_series_attributes(series.datasets[0], result)
    composite.lossy_history(series.datasets[0], result)
    result.ConversionType = "WSD"
    result.ImageType = ["DERIVED", "SECONDARY"]
    result.PatientOrientation = [overlay.letter(series.volume.affine[:3, axis]) for axis in (2, 1)]
    result.BurnedInAnnotation = "YES"
    result.SourceImageSequence = [source]
    result.ImageComments = f"{words.nodule(subject)} {composite.RESEARCH_USE_ONLY}"
    _pixels(overlay.draw(series, found, subject), result)
    return result


def _pixels(picture: Image.Image, result: Dataset) -> None:
    rgb = np.asarray(picture)
    result.Rows, result.Columns = rgb.shape[:2]
    result.SamplesPerPixel = 3
    result.PhotometricInterpretation = "RGB"
    result.PlanarConfiguration = 0
    result.BitsAllocated = result.BitsStored = 8
    result.HighBit = 7
    result.PixelRepresentation = 0
    result.PixelData = rgb.tobytes()
    result["PixelData"].VR = "OB"
