"""Content items of a structured report, one short function for each value type (PS3.3 C.17.3).

highdicom's value types check each item; these functions only say the relationship first and take the children last, so
that a tree in code reads like the tree in the report.
"""

from collections.abc import Sequence
from enum import StrEnum

import highdicom.sr as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code


class Is(StrEnum):
    """How an item relates to the one above it (PS3.3 table C.17.3-8)."""

    CONTAINED = "CONTAINS"
    CONTEXT = "HAS OBS CONTEXT"
    ACQUISITION_CONTEXT = "HAS ACQ CONTEXT"
    MODIFIER = "HAS CONCEPT MOD"
    PROPERTY = "HAS PROPERTIES"
    SELECTED_FROM = "SELECTED FROM"


def container(
    name: Code, *children: Dataset, template: str | None = None, relationship: Is | None = Is.CONTAINED
) -> Dataset:
    """Return a CONTAINER; the root of a document has no relationship."""
    item = hd.ContainerContentItem(name, template_id=template, relationship_type=relationship)
    return _with(item, children)


def code(relationship: Is, name: Code, value: Code, *children: Dataset) -> Dataset:
    """Return a CODE."""
    return _with(hd.CodeContentItem(name, value, relationship), children)


def text(relationship: Is, name: Code, value: str, *children: Dataset) -> Dataset:
    """Return a TEXT."""
    return _with(hd.TextContentItem(name, value, relationship), children)


def number(relationship: Is, name: Code, value: float, unit: Code, *children: Dataset) -> Dataset:
    """Return a NUM."""
    return _with(hd.NumContentItem(name, value, unit, relationship_type=relationship), children)


def uid(relationship: Is, name: Code, value: str) -> Dataset:
    """Return a UIDREF."""
    return hd.UIDRefContentItem(name, value, relationship)


def image(
    relationship: Is,
    name: Code,
    sop_class_uid: str,
    sop_instance_uid: str,
    *,
    frame: int | None = None,
    segment: int | None = None,
) -> Dataset:
    """Return an IMAGE, whole or one frame or segment of it."""
    return hd.ImageContentItem(
        name,
        sop_class_uid,
        sop_instance_uid,
        referenced_frame_numbers=frame,
        referenced_segment_numbers=segment,
        relationship_type=relationship,
    )


def polyline(name: Code, points: NDArray[np.float64], selected_from: Dataset) -> Dataset:
    """Return an SCOORD on an image, ``points`` (n, 2) as (column, row)."""
    item = hd.ScoordContentItem(name, "POLYLINE", points, relationship_type=Is.CONTAINED)
    return _with(item, [selected_from])


def _with(item: Dataset, children: Sequence[Dataset]) -> Dataset:
    if children:
        item.ContentSequence = hd.ContentSequence(children)
    return item
