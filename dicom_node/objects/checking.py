"""How a check of a result fails."""

from pydicom import Dataset

from dicom_node.errors import ResultInvalid


def require(holds: bool, result: Dataset, what: str) -> None:
    """Raise ``ResultInvalid`` unless something holds; names the object by the end of its UID."""
    if not holds:
        raise ResultInvalid(f"{result.get('Modality')} ...{str(result.get('SOPInstanceUID'))[-8:]}: {what}")
