"""What agreements are worth: the line that is fitted, and the threshold below which an outline is doubtful."""

import numpy as np
import pytest

from ai_engine.errors import TrainingError
from ai_engine.sam2.confidence import Agreement, Confidence
from ai_engine.training.confidence import FEWEST, Example, fitted


def examples(n: int, noise: float = 0.0) -> list[Example]:
    rng = np.random.default_rng(3)
    agreements = rng.uniform(0.2, 1.0, (n, 3))
    dice = 0.1 + agreements @ [0.3, 0.2, 0.3] + rng.normal(0, noise, n)
    return [Example(Agreement(*row), float(value)) for row, value in zip(agreements.tolist(), dice, strict=True)]


def test_the_line_that_made_the_examples_is_found_again() -> None:
    found = fitted(examples(200)).confidence
    assert found.offset == pytest.approx(0.1, abs=0.01)
    weights = (found.with_jittered, found.with_grown, found.with_itself)
    assert weights == pytest.approx((0.3, 0.2, 0.3), abs=0.01)
    assert found.of(Agreement(0.9, 0.8, 0.7)) == pytest.approx(0.74, abs=0.01)


def test_the_least_sure_tenth_is_flagged_and_is_worse() -> None:
    found = fitted(examples(300, noise=0.05))
    assert found.flagged == 30
    assert found.dice_of_flagged < found.dice_of_others - 0.15
    assert found.rank_correlation > 0.8
    least = np.quantile([each.dice for each in examples(300)], 0.1)
    assert found.confidence.flag_below == pytest.approx(least, abs=0.02)


def test_an_agreement_that_tells_the_wrong_way_counts_for_nothing() -> None:
    values = [each.agreement.with_jittered for each in examples(100)]
    found = fitted([Example(Agreement(value, 1 - value, 0.5), value) for value in values]).confidence
    assert found.with_grown == pytest.approx(0, abs=1e-3)
    assert found.with_jittered == pytest.approx(1, abs=1e-2)


def test_too_few_masks_are_refused() -> None:
    with pytest.raises(TrainingError, match="too few to calibrate"):
        fitted(examples(FEWEST - 1))


def test_weights_without_metadata_are_trusted_by_the_mean_of_two_agreements() -> None:
    plain = Confidence.from_json({})
    assert plain.of(Agreement(1.0, 0.5, 0.1)) == pytest.approx(0.75)
    told = Confidence.from_json({"offset": 0.5, "with_jittered": 1, "masks": 3})
    assert told.of(Agreement(0.9, 0.0, 0.0)) == 1.0
