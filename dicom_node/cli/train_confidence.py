"""``emerald train confidence``: what the agreements of an outline are worth, learnt on validation composites."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import track

from ai_engine.errors import TrainingError, WeightsError
from ai_engine.sam2 import weights
from dicom_node.cli.options import Commands, add_data, data_of
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from ai_engine.training.confidence import Example


def add(networks: Commands) -> None:
    """Add the command to the parser of ``emerald train``."""
    parser = networks.add_parser(
        "confidence",
        help="how far an outline can be trusted",
        description="Fit confidence and the threshold of doubtful outlines on composites of validation patients in "
        "validation lungs, and write them into the metadata beside the weights.",
    )
    add_data(parser, "the lungs: ct-backgrounds/")
    parser.add_argument("--composites", type=int, default=200, metavar="N", help="how many (200)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="compact weights (those of this package)")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="of composites and prompts (7)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Calibrate, say how well it went, write."""
    from ai_engine.training.confidence import fitted  # noqa: PLC0415 - not to slow other commands down

    shipped = weights.weights_of(weights.bundled(), Path())
    metadata = (arguments.weights or shipped.path).with_suffix(".json")
    if not metadata.is_file():
        raise NodeError(f"there is no {metadata}: `emerald train segmenter --export` writes it beside the weights")
    own = weights.compact_file(arguments.weights) if arguments.weights else shipped
    try:
        found = fitted(_examples(arguments, own))
    except (TrainingError, WeightsError) as error:
        raise NodeError(str(error)) from error
    print(f"{found.n} masks, rank correlation with Dice {found.rank_correlation:.3f}; flagged {found.flagged}, their")
    print(f"mean Dice {found.dice_of_flagged:.3f}, that of the others {found.dice_of_others:.3f}; {found.confidence}")
    told = json.loads(metadata.read_text(encoding="utf-8"))
    told["confidence"] = {**asdict(found.confidence), "masks": found.n, "seed": arguments.seed}
    metadata.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return 0


def _examples(arguments: argparse.Namespace, own: weights.Weights) -> Iterator["Example"]:
    """Yield what the masks of composites agree with."""
    import numpy as np  # noqa: PLC0415

    from ai_engine.composites import Renderer  # noqa: PLC0415
    from ai_engine.evaluation.crops import crop_of, subject_of  # noqa: PLC0415
    from ai_engine.stages import sam2_segmenter, weight_free  # noqa: PLC0415
    from ai_engine.training.confidence import examples_of  # noqa: PLC0415
    from dicom_node.cases.judged_composites import judged_composites  # noqa: PLC0415
    from dicom_node.cases.lidc_database import LidcDatabase, Split  # noqa: PLC0415

    data = data_of(arguments, "ct-backgrounds/")
    own.check()
    segmenter, detector = sam2_segmenter(own), weight_free().detector
    n, seed = arguments.composites, arguments.seed
    composites = judged_composites(LidcDatabase(), data, Renderer.A, n, seed, Split.VALIDATION)
    for number, (composite, lungs) in enumerate(track(composites, "composites", total=n)):
        subject = subject_of(composite, crop_of(composite, lungs))
        if subject is not None:
            yield from examples_of(subject, detector, segmenter, np.random.default_rng([seed, number]))
