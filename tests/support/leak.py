"""Does a made-up record know the label? A likelihood-ratio test of label on features, with and without the record.

Every nodule of LIDC-IDRI is taken as the one nodule of a patient of its own. Features are the medians of the readers'
ratings in whole numbers, as the generator is told them; the label is the side of 3 on which their mean malignancy lies.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from statistics import mean, median

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dicom_node.cases.lidc_database import installed_file
from hl7_emr.domain import Identifier, PatientRecord
from hl7_emr.synth.domain import Attributes, SyntheticPatient

Matrix = NDArray[np.float64]
Draw = Callable[["Nodule", int], SyntheticPatient]
STUDIED = date(2021, 5, 4)


@dataclass(frozen=True)
class Nodule:
    """One nodule as its readers rate it, under a Patient ID of its own."""

    patient_id: str
    number: int
    spiculation: int
    lobulation: int
    texture: int
    calcification: int
    malignancy: float

    @property
    def attributes(self) -> Attributes:
        """What a generator is told."""
        who = Identifier(f"{self.patient_id}-{self.number}", "LIDC")
        ratings = (self.spiculation, self.lobulation, self.texture, self.calcification)
        return Attributes(who, *ratings, studied_on=STUDIED)


def lidc_nodules() -> list[Nodule]:
    """Return the nodules of LIDC-IDRI; readings whose boxes overlap are of one nodule."""
    with closing(sqlite3.connect(f"{installed_file().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT patient_id, scan_id, annotations.id, spiculation, lobulation, texture, calcification, malignancy"
            " FROM annotations JOIN scans ON scans.id = scan_id ORDER BY patient_id, annotations.id"
        ).fetchall()
        boxes = _boxes(connection)
    groups: list[list[tuple]] = []
    for row in rows:
        near = [
            group
            for group in groups[-40:]
            if group[0][1] == row[1] and any(_meet(boxes[o[2]], boxes[row[2]]) for o in group)
        ]
        for group in near:
            groups.remove(group)
        groups.append([*(other for group in near for other in group), row])
    return [_nodule(number, group) for number, group in enumerate(groups)]


def _boxes(connection: sqlite3.Connection) -> dict[int, tuple[Matrix, Matrix]]:
    corners: dict[int, list[tuple[float, ...]]] = {}
    for annotation, z, coords in connection.execute("SELECT annotation_id, image_z_position, coords FROM contours"):
        points = np.array([line.split(",") for line in coords.split("\n")], dtype=float)
        corners.setdefault(annotation, []).extend([(z, *points.min(axis=0)), (z, *points.max(axis=0))])
    return {annotation: (np.min(each, axis=0), np.max(each, axis=0)) for annotation, each in corners.items()}


def _meet(one: tuple[Matrix, Matrix], other: tuple[Matrix, Matrix]) -> bool:
    return bool(np.all(one[0] <= other[1]) and np.all(other[0] <= one[1]))


def _nodule(number: int, readings: Sequence[tuple]) -> Nodule:
    ratings = [round(median(row[column] for row in readings)) for column in range(3, 7)]
    return Nodule(readings[0][0], number, *ratings, mean(row[7] for row in readings))


def features(nodules: Sequence[Nodule]) -> Matrix:
    """Return (n, m): each rating's levels, and the products of what the generator reads.

    The levels leave no curve of one rating out, which a record drawn from that rating could otherwise seem to explain.
    """
    ratings = np.array([(n.spiculation, n.lobulation, n.texture, n.calcification < 6) for n in nodules], dtype=float)
    columns = [np.ones(len(ratings))]
    for column in ratings.T:
        columns += [(column == level).astype(float) for level in np.unique(column)[1:]]
    columns += [(ratings[:, i] - 3) * (ratings[:, j] - 3) for i, j in combinations(range(4), 2)]
    return np.column_stack(columns)


def record_columns(records: Sequence[PatientRecord]) -> Matrix:
    """Return (n, m): what the record says, and that it does not say it."""
    rows = [_row(record) for record in records]
    table = np.array(rows, dtype=float)
    known = ~np.isnan(table)
    filled = np.where(known, table, np.nanmean(table, axis=0))
    unknown = (~known)[:, ~known.all(axis=0)].astype(float)
    return np.column_stack([(filled - filled.mean(axis=0)) / filled.std(axis=0), unknown])


def _row(record: PatientRecord) -> list[float]:
    def number(name: str) -> float:
        item = getattr(record, name)
        return float(item.value) if item is not None else float("nan")

    alcohol = record.alcohol.value if record.alcohol else None
    drinks = [float(alcohol != "none"), float(alcohol == "heavy")] if alcohol else [float("nan")] * 2
    sex = float(record.sex.value == "M") if record.sex else float("nan")
    names = ("age_years", "ever_smoker", "pack_years", "bmi", "copd", "emphysema", "own_cancer")
    return [sex, *drinks, *map(number, names), number("family_history_of_lung_cancer")]


def p_of_leak(nodules: Sequence[Nodule], draw: Draw, seeds: Sequence[int]) -> float:
    """Return p of the likelihood-ratio test: small where the records tell of the label what the features do not.

    Every seed gives each nodule another record, so that a weak leak is seen too: one draw of a generator that is told
    the label at half strength hides among 2,000 nodules. Given features and label the draws are independent, so a
    generator without a label passes however many are taken.
    """
    labelled = [nodule for nodule in nodules if nodule.malignancy != 3]
    label = np.tile([float(nodule.malignancy > 3) for nodule in labelled], len(seeds))
    without = np.tile(features(labelled), (len(seeds), 1))
    record = record_columns([draw(nodule, seed).record() for seed in seeds for nodule in labelled])
    gain = 2 * (log_likelihood(np.column_stack([without, record]), label) - log_likelihood(without, label))
    return float(stats.chi2.sf(gain, record.shape[1]))


def log_likelihood(columns: Matrix, label: Matrix) -> float:
    """Return the greatest log likelihood of a logistic model, by Newton's method; levels that never occur are held."""
    weights = np.zeros(columns.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30)))
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns + 1e-6 * np.eye(len(weights))
        step = np.linalg.solve(curvature, columns.T @ (label - p) - 1e-6 * weights)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    p = np.clip(1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30))), 1e-12, 1 - 1e-12)
    return float(label @ np.log(p) + (1 - label) @ np.log(1 - p))
