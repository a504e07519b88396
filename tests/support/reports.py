"""Reads what a report says, without the node's own code."""

from collections.abc import Iterator

from pydicom import Dataset


def items(report: Dataset) -> Iterator[Dataset]:
    """Yield every content item below the root."""
    for child in report.get("ContentSequence", ()):
        yield child
        yield from items(child)


def texts(report: Dataset, concept: str = "") -> list[str]:
    """Return its TEXT items, all or those of one concept's code value."""
    found = (item for item in items(report) if item.ValueType == "TEXT")
    return [item.TextValue for item in found if concept in ("", item.ConceptNameCodeSequence[0].CodeValue)]


def conclusion(report: Dataset) -> str:
    """Return the sentence that the report ends up with: its Conclusion (121077, DCM)."""
    (sentence,) = texts(report, "121077")
    return sentence
