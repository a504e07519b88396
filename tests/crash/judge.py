"""What must hold after a crash, judged from files alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread

from tests.crash.study import Study
from tests.support.recorder import data_set, read_whole

Results = Mapping[str, Dataset]
# What the report says of the reception: how often it was cut off is no secret.
_OF_RECEPTION = "Completeness of the study:"


def lost(acknowledged: Iterable[Path], study: Study, data_dir: Path) -> list[Path]:
    """Return the acknowledged files whose data set is not in the spool, byte for byte."""
    held = {}
    for path in (data_dir / "spool" / "received").rglob("*.dcm"):
        held[str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)] = data_set(path)
    uids = {path: uid for uid, path in study.files.items()}
    return [path for path in acknowledged if held.get(uids[path]) != data_set(path)]


def results(paths: Sequence[Path]) -> dict[str, Dataset]:
    """Read the SEG and SR among what a PACS holds, by SOP Instance UID."""
    read = filter(None, map(read_whole, paths))
    return {str(each.SOPInstanceUID): each for each in read if each.Modality in ("SEG", "SR")}


def differences(undisturbed: Results, found: Results) -> Iterator[str]:
    """Say in what results differ from those of the undisturbed run, dates and the story of the reception apart."""
    for uid in undisturbed.keys() - found.keys():
        yield f"missing: {undisturbed[uid].Modality} ...{uid[-8:]}"
    for uid in found.keys() - undisturbed.keys():
        yield f"one too many: {found[uid].Modality} ...{uid[-8:]}"
    for uid in undisturbed.keys() & found.keys():
        wanted, got = _timeless(undisturbed[uid]), _timeless(found[uid])
        if wanted != got:
            keywords = [e.keyword for e in wanted if e.tag not in got or got[e.tag] != e]
            yield f"another content: {found[uid].Modality} ...{uid[-8:]}, in {', '.join(keywords)}"


def _timeless(dataset: Dataset) -> Dataset:
    """Return a copy without dates, times and what is said of the reception."""
    kept = Dataset()
    for element in dataset:
        if element.VR in ("DA", "TM", "DT"):
            continue
        if element.VR == "SQ":
            items = [item for item in element.value if _OF_RECEPTION not in str(item.get("TextValue", ""))]
            kept.add_new(element.tag, "SQ", [_timeless(item) for item in items])
        else:
            kept.add(element)
    return kept
