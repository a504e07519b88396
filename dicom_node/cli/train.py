"""``emerald train``: the networks of the bundled tier, trained again by whoever wants to."""

import argparse
from pathlib import Path

from dicom_node.cli import train_adapter, train_composites, train_confidence, train_encoder, train_threshold
from dicom_node.cli.options import Commands, add_data
from dicom_node.errors import SettingsError


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train the networks that come with the node",
        description="Train from LIDC-IDRI's outlines, painted into real lungs. Splits are fixed; nothing that figures "
        "are printed on is ever trained on.",
    )
    networks = parser.add_subparsers(required=True, metavar="WHAT", help="which network")
    _add_segmenter(networks)
    train_encoder.add(networks)
    train_composites.add(networks)
    train_confidence.add(networks)
    train_threshold.add(networks)
    train_adapter.add(networks)


def _add_segmenter(networks: Commands) -> None:
    parser = networks.add_parser(
        "segmenter",
        help="the compact SAM2 that outlines nodules",
        description="Compose a cache, train, validate, keep the best. A run that was cut off goes on with --resume.",
    )
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="cache, checkpoints, log and plot")
    add_data(parser, "the lungs: ct-chest/ and ct-backgrounds/")
    parser.add_argument(
        "--lidc", type=Path, metavar="DIR", help="LIDC-IDRI's DICOM: its training patients are used too"
    )
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="a folder of own CT series to plant into, too")
    parser.add_argument("--composites", type=int, default=4000, metavar="N", help="size of the cache (4000)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, or cuda (cpu)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="length of the run in steps (40000)")
    length.add_argument("--hours", type=float, metavar="H", help="length of the run in hours instead")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of composites, weights and batches (1)")
    parser.add_argument("--smoke", action="store_true", help="a few composites and steps: does it run?")
    parser.add_argument("--resume", action="store_true", help="go on where the run in DIR was cut off")
    parser.add_argument("--start-from", type=Path, metavar="FILE", help="weights to begin with, instead of random ones")
    parser.add_argument("--export", action="store_true", help="do not train: write DIR's best weights to --to")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where --export writes (the weights of this package)")
    parser.add_argument(
        "--judges", type=int, default=300, metavar="N", help="validation composites that --export compares on (300)"
    )
    parser.add_argument("--replay", type=int, metavar="N", help="do the first N steps again and compare their losses")
    parser.add_argument("--against", type=Path, metavar="FILE", help="metadata (.json) of the weights to compare with")
    parser.set_defaults(run=run_segmenter)


def run_segmenter(arguments: argparse.Namespace) -> int:
    """Train, export or replay."""
    from dicom_node.cli import segmenter_export, training  # noqa: PLC0415  (torch takes seconds to import)

    if (arguments.replay is None) != (arguments.against is None):
        raise SettingsError("--replay", "needs --against FILE, and the other way round")
    if arguments.export:
        return segmenter_export.export(arguments)
    if arguments.replay is not None:
        return training.replay(arguments)
    return training.train(arguments)
