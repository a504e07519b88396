"""Turn result objects into what people can look at: key images as PNG, the report as text."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from pydicom import Dataset, dcmread

_DSRDUMP = Path("/usr/bin/dsrdump")
_NAMES = {"SEG": "seg", "SR": "sr"}


def write(files: list[Path], folder: Path) -> str:
    """Copy results into ``folder`` under plain names, with PNG and text beside; return what there is, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    for path, dataset in sorted(((path, dcmread(path)) for path in files), key=lambda pair: pair[1].InstanceNumber):
        kind = _NAMES.get(dataset.Modality, "key-image")
        counts[kind] += 1
        target = folder / f"{kind}-{counts[kind]}.dcm"
        shutil.copy(path, target)
        if kind == "sr":
            target.with_suffix(".txt").write_text(report_text(target), encoding="utf-8")
        elif kind == "key-image":
            Image.fromarray(dataset.pixel_array).save(target.with_suffix(".png"))
    return ", ".join(f"{n} {kind}" for kind, n in counts.items())


def report_text(path: Path) -> str:
    """Return a structured report as indented text: by DCMTK's dsrdump where it is installed, else our own."""
    if _DSRDUMP.exists():
        done = subprocess.run([str(_DSRDUMP), str(path)], capture_output=True, check=False)
        if done.returncode == 0:
            return done.stdout.decode("utf-8", errors="replace")
    return "\n".join(_lines(dcmread(path), 0))


def _lines(item: Dataset, depth: int) -> Iterator[str]:
    name = item.ConceptNameCodeSequence[0].CodeMeaning if item.get("ConceptNameCodeSequence") else item.ValueType
    yield f"{'  ' * depth}{name}: {_value(item)}".rstrip(": ")
    for child in item.get("ContentSequence", []):
        if "ValueType" in child:
            yield from _lines(child, depth + 1)


def _value(item: Dataset) -> str:
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeMeaning)
    if item.ValueType == "NUM" and item.get("MeasuredValueSequence"):
        measured = item.MeasuredValueSequence[0]
        return f"{measured.NumericValue} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
    return str(item.get("TextValue") or item.get("UID") or item.get("PersonName") or item.get("DateTime") or "")
