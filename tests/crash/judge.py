"""What must hold after a crash, judged from files alone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from tests.crash.study import Study, data_set

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
    read = filter(None, map(_read, paths))
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


def sendings(folder: Path) -> tuple[int, list[str]]:
    """Judge what a recorder kept, one file for each sending.

    Returns
    -------
    n_again : int
        Objects that were sent once more, with the same bytes.
    differing : list of str
        SOP Instance UIDs that were sent with more than one content.
    """
    contents: dict[str, Counter[bytes]] = {}
    for path in folder.iterdir():
        if (dataset := _read(path)) is not None:
            contents.setdefault(str(dataset.SOPInstanceUID), Counter())[data_set(path)] += 1
    n_again = sum(counts.total() - 1 for counts in contents.values())
    return n_again, [uid for uid, counts in contents.items() if len(counts) > 1]


def _read(path: Path) -> Dataset | None:
    """Read an object; None where the sending was cut off in the middle of it."""
    try:
        dataset = dcmread(path)
        dataset.SOPInstanceUID, dataset.Modality  # noqa: B018 - they are there
    except (InvalidDicomError, AttributeError, EOFError):
        return None
    return dataset


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
