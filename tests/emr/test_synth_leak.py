"""A record that is told no label tells none: on all nodules of LIDC-IDRI, beside generators that are told."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from hl7_emr.synth import generator
from tests.support.leak import lidc_nodules, p_of_leak, record_columns

pytestmark = pytest.mark.slow

SEEDS = range(6)


@pytest.fixture(scope="module")
def nodules():
    return lidc_nodules()


def test_the_nodules_are_those_of_the_database(nodules):
    assert 2600 < len(nodules) < 2700


def test_the_label_free_generator_tells_nothing_that_the_features_do_not(nodules):
    p = p_of_leak(nodules, lambda nodule, seed: generator.label_free(nodule.attributes, seed), SEEDS)

    print(f"\nlikelihood ratio, label-free: p = {p:.3g}")
    assert p >= 0.001


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_generator_that_is_told_the_label_is_caught(nodules, strength):
    p = p_of_leak(
        nodules, lambda nodule, seed: generator.emeralds(nodule.attributes, nodule.malignancy, seed, strength), SEEDS
    )

    print(f"\nlikelihood ratio, emeralds at strength {strength}: p = {p:.3g}")
    assert p < 0.001


def test_the_record_alone_hardly_tells_malignant_from_benign(nodules):
    labelled = [nodule for nodule in nodules if nodule.malignancy != 3]
    label = np.array([nodule.malignancy > 3 for nodule in labelled])
    patients = [nodule.patient_id for nodule in labelled]
    record = record_columns([generator.label_free(nodule.attributes, 0).record() for nodule in labelled])

    scores = np.zeros(len(label))
    for train, test in GroupKFold(5).split(record, label, patients):
        model = GradientBoostingClassifier(random_state=0).fit(record[train], label[train])
        scores[test] = model.predict_proba(record[test])[:, 1]

    auc = roc_auc_score(label, scores)
    print(f"\nAUC of the label-free record alone, patient folds: {auc:.3f}")
    assert auc <= 0.65
