"""``emerald train adapter``: what lets SAM2 outline a named part of a nodule."""

import argparse
from pathlib import Path

from dicom_node.cli.options import Commands, add_data


def add(networks: Commands) -> None:
    """Add the command to the parser of ``emerald train``."""
    parser = networks.add_parser(
        "adapter",
        help="what lets SAM2 outline a part of a nodule that is named in words",
        description="Plant part-solid nodules of training patients into training lungs, show them to the frozen SAM2 "
        "once, and train a small network that turns the text of a part (solid component, whole nodule) into prompts. "
        "With --one-hot the parts have numbers instead of words: what the text is worth is told beside that. Started "
        "again it goes on where it was cut off.",
    )
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="cache and runs")
    add_data(parser, "the lungs: ct-chest/ and ct-backgrounds/")
    parser.add_argument("--text", type=Path, metavar="FILE", help="encoder whose text is read (that of this package)")
    parser.add_argument("--one-hot", action="store_true", help="the baseline: parts have numbers instead of words")
    parser.add_argument("--composites", type=int, default=300, metavar="N", help="size of the cache (300)")
    parser.add_argument("--steps", type=int, metavar="N", help="length of the run (1500)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of composites, weights and batches (1)")
    parser.add_argument("--smoke", action="store_true", help="a few nodules and steps: does it run?")
    parser.add_argument("--export", action="store_true", help="do not train: write DIR's best weights to --to")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where --export writes (the weights of this package)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train or export."""
    from dicom_node.cli import adapter_training  # noqa: PLC0415  (torch takes seconds to import)

    return adapter_training.export(arguments) if arguments.export else adapter_training.train(arguments)
