"""In whose lungs weights were trained, by the metadata that training wrote beside them."""

import json
from pathlib import Path
from typing import Any

from ai_engine.sam2.weights import sha256_of
from dicom_node.errors import CaseDataMissing

#: Where the metadata of an encoder and those of SAM2 name the lungs.
ENCODER, SEGMENTER = ("places", "training"), ("material", "training", "lungs")


def trained_in(path: Path, named: tuple[str, ...] = ENCODER) -> frozenset[str]:
    """Name the patients whose lungs a file of weights was trained in, from the JSON beside it.

    Parameters
    ----------
    path : Path
        The weights.
    named : tuple of str
        Keys on the way to the lungs in the metadata.

    Raises
    ------
    CaseDataMissing
        The metadata are not there, name no lung, or are those of other weights.
    """
    beside = path.with_suffix(".json")
    try:
        told: Any = json.loads(beside.read_text(encoding="utf-8"))
        lungs, sha256 = told, told["sha256"]
        for key in named:
            lungs = lungs[key]
        patients = frozenset(lung.split("/", maxsplit=1)[0] for lung in lungs)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CaseDataMissing(f"{beside} does not say in which lungs {path.name} was trained") from error
    if not patients:
        raise CaseDataMissing(f"{beside} names none of the lungs in which {path.name} was trained")
    if sha256_of(path) != sha256:
        raise CaseDataMissing(f"{beside} is not about {path.name}: it tells of weights with another sha256")
    return patients
