"""Real lungs to plant nodules into: the shared CT series and lung crops, their known lesions left out."""

import json
from collections.abc import Container, Iterator
from pathlib import Path

import jpeg_ls
import numpy as np
import SimpleITK
from scipy import ndimage

from ai_engine.composites.background import Background
from ai_engine.domain import BoolArray, CtVolume
from ai_engine.geometry import Turn, affine_from, turn_of
from ai_engine.lungs import Lungs, ThresholdLungs
from dicom_node.cases.lidc_database import Split
from dicom_node.cases.splits import LUNG_USE_FOR, LungUse, check_series, lung_use
from dicom_node.errors import CaseDataMissing
from dicom_node.objects import headers
from dicom_node.objects.ct_series import CtSeries, to_volume

# Nothing is planted this near to a known lesion.
CLEAR_MM = 6.0
# A part of the hull that holds no air and is thicker than a vessel this size is no lung: a lesion that nobody outlined,
# the root of the lung, or a collapsed part of it.
DENSE_RADIUS_MM = 4.0

_PURPOSE = {use: purpose for purpose, use in LUNG_USE_FOR.items()}


def names(data_dir: Path, use: LungUse) -> list[str]:
    """Name all lungs of one use, in the order of ``backgrounds``; nothing is read."""
    return [name for name, _ in _sources(data_dir) if lung_use(name) is use]


def backgrounds(data_dir: Path, use: LungUse, only: Container[str] | None = None) -> Iterator[Background]:
    """Read all lungs of one use from the shared data, by name.

    Parameters
    ----------
    data_dir : Path
        Holds ``ct-chest/`` (DICOM) and ``ct-backgrounds/`` (crops).
    use : LungUse
        NEVER gives the lungs to test in.
    only : container of str, optional
        Names: the others are not read.

    Raises
    ------
    CaseDataMissing
        There is none.
    SplitViolation
        A folder's name is not known, or its series is another than the name says.
    """
    found = False
    for name, source in _sources(data_dir):
        if lung_use(name) is use:
            found = True
            if only is not None and name not in only:
                continue
            yield _from_crop(name, source) if source.suffix == ".npz" else _from_dicom(name, source, _PURPOSE[use])
    if not found:
        raise CaseDataMissing(f"no lungs for {use} below {data_dir}")


def _sources(data_dir: Path) -> Iterator[tuple[str, Path]]:
    """Name and place of each lung: ``ct-chest/NAME/dicom``, ``ct-chest/NAME/series-*``, ``ct-backgrounds/NAME.npz``."""
    for folder in sorted((data_dir / "ct-chest").glob("*/dicom")):
        yield folder.parent.name, folder
    for folder in sorted(path for path in (data_dir / "ct-chest").glob("*/series-*") if path.is_dir()):
        yield f"{folder.parent.name}/{folder.name}", folder
    for path in sorted((data_dir / "ct-backgrounds").glob("*.npz")):
        yield path.stem, path


def _from_dicom(name: str, folder: Path, purpose: Split) -> Background:
    series = to_volume([headers.instance_ref(path) for path in sorted(folder.iterdir())])
    check_series(purpose, series.series_instance_uid)
    turn = turn_of(series.volume)
    lesion = turn.array(_lesion(folder, series))
    return _background(name, series.volume, turn, lesion)


def _from_crop(name: str, path: Path) -> Background:
    volume = read_crop(path)
    return _background(name, volume, turn_of(volume), None)


def read_crop(path: Path) -> CtVolume:
    """Read one file of ``ct-backgrounds``: slices in JPEG-LS, ascending, HU + 1024."""
    with np.load(path, allow_pickle=False) as crop:
        stream, offsets, shape = crop["jpegls"], crop["offsets"], crop["shape"]
        spacing, origin = crop["spacing_zyx_mm"], crop["origin_xyz_lps_mm"]
    hu = np.empty(tuple(shape), dtype=np.int16)
    for k in range(shape[0]):
        hu[k] = jpeg_ls.decode(stream[offsets[k] : offsets[k + 1]]).astype(np.int16) - 1024
    z, y, x = (float(step) for step in spacing)
    return CtVolume(hu, affine_from([float(v) for v in origin], (0, 0, z), (0, y, 0), (x, 0, 0)))


def background_of(name: str, volume: CtVolume) -> Background:
    """Make a background of a series without known lesions; raises ``NoLungs`` where it holds no lung."""
    return _background(name, volume, turn_of(volume), None)


def _background(name: str, source: CtVolume, turn: Turn, lesion: BoolArray | None) -> Background:
    turned = turn.volume(source)
    volume = CtVolume(np.ascontiguousarray(turned.hu), turned.affine, turned.contrast)
    lungs = ThresholdLungs().find(volume)
    avoid, known = _dense(lungs), None
    if lesion is not None:
        known = _near(lungs.grid.sample(lesion, order=1) > 0.1, CLEAR_MM, lungs.grid.step_mm)
        avoid |= known
    return Background(name, volume, lungs, avoid, known)


def _dense(lungs: Lungs) -> BoolArray:
    """Parts of the hull that the finder does not call lung and that are no vessel; (k, r, c) bool on its grid."""
    step = lungs.grid.step_mm
    dense = lungs.hull & ~lungs.air
    depth = ndimage.distance_transform_edt(dense) * step
    return _near(depth >= DENSE_RADIUS_MM, DENSE_RADIUS_MM + step, step)


def _near(mask: BoolArray, reach_mm: float, step_mm: float) -> BoolArray:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask) * step_mm <= reach_mm, dtype=bool)


def _lesion(folder: Path, series: CtSeries) -> BoolArray:
    """Voxels of the known lesions of a shared case, on the grid of the series; empty where no file tells of one."""
    lesion = np.zeros(series.volume.hu.shape, dtype=bool)
    for name in ("consensus50_nodule_labels.nii.gz", "majority_5of9_mask.nii.gz"):
        path = folder.parent / name
        if path.is_file():  # lowest z first, as the series
            lesion |= SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))) > 0
    boxes = folder.parent / "tumour_boxes.json"
    if boxes.is_file():
        slices = {source.sop_instance_uid: k for k, source in enumerate(series.slices)}
        for box in json.loads(boxes.read_text(encoding="utf-8"))["boxes"]:
            if box["sop_instance_uid"] in slices:
                k = slices[box["sop_instance_uid"]]
                lesion[k, box["ymin"] : box["ymax"] + 1, box["xmin"] : box["xmax"] + 1] = True
    return lesion
