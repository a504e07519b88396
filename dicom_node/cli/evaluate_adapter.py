"""``emerald evaluate adapter``: whether SAM2 outlines the part of a nodule that is named, in words it never saw."""

import argparse
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import track

from ai_engine.clip.parts import HELD_OUT, Part
from ai_engine.composites.domain import Renderer
from ai_engine.errors import WeightsError
from ai_engine.evaluation.parts import ONE_HOT, TEXT, Judged, Named, judged
from ai_engine.evaluation.parts_report import PartsReport, as_json, markdown
from ai_engine.sam2.weights import sha256_of
from dicom_node import node
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cases.part_solid import CORE_SHARE, part_solid_composites
from dicom_node.cli.options import Commands, add_data, data_of
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from torch import Tensor

    from ai_engine.sam2.adapter import Adapter
    from ai_engine.sam2.loading import Loaded


def add(subjects: Commands) -> None:
    """Add the command to the parser of ``emerald evaluate``."""
    parser = subjects.add_parser(
        "adapter",
        help="whether the part of a nodule that is named is outlined",
        description="Plant part-solid nodules of test patients into lungs that nothing is trained in, name the solid "
        "component and the whole nodule in paraphrases that training never saw, and print the Dice with the named part "
        "and with the other one, beside an adapter that knows numbers instead of words. Writes adapter.md and "
        "adapter.json.",
    )
    add_data(parser, "the lungs: ct-chest/")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go; made if missing")
    parser.add_argument("--adapter", type=Path, required=True, metavar="FILE", help="weights, as training exports them")
    parser.add_argument("--text", type=Path, metavar="FILE", help="encoder it was trained with (that of this package)")
    parser.add_argument("--one-hot", type=Path, metavar="FILE", help="the baseline's weights")
    parser.add_argument("--nodules", type=int, default=60, metavar="N", help="of each renderer (60)")
    parser.add_argument("--renderer", choices=[str(each) for each in Renderer], help="only this one (both)")
    parser.add_argument(
        "--split", default="test", choices=["test", "validation"], help="whose outlines and lungs (test)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of outlines, places and boxes (1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the tables and write them."""
    rows = list(_rows(arguments))
    report = PartsReport(_command(arguments), _facts(arguments, rows), rows)
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter.md").write_text(markdown(report), encoding="utf-8")
    (folder / "adapter.json").write_text(json.dumps(as_json(report), indent=1), encoding="utf-8")
    print(markdown(report))
    return 0


def _rows(arguments: argparse.Namespace) -> Iterator[Judged]:
    data, split = data_of(arguments, "ct-chest/"), Split(arguments.split)
    try:
        loaded, named = _loaded(), _named(arguments)
    except WeightsError as error:
        raise NodeError(str(error)) from error
    for renderer in [Renderer(arguments.renderer)] if arguments.renderer else list(Renderer):
        n, seed = arguments.nodules, arguments.seed
        composites = part_solid_composites(LidcDatabase(), data, renderer, n, seed, split)
        for number, composite in enumerate(track(composites, f"renderer {renderer}", total=n)):
            yield from judged(composite, loaded, named, np.random.default_rng([seed, number]))


def _loaded() -> "Loaded":
    from ai_engine.sam2 import loading  # noqa: PLC0415 - torch takes seconds
    from ai_engine.sam2.weights import bundled, weights_of  # noqa: PLC0415

    own = weights_of(bundled(), Path())
    own.check()
    return loading.load(own.path, own.model.config, own.model.image_size, "cpu")


def _named(arguments: argparse.Namespace) -> Named:
    """Let both adapters name the parts: by held-out paraphrases, and by numbers."""
    import torch  # noqa: PLC0415 - as above

    from ai_engine.clip import loading as encoder_loading  # noqa: PLC0415
    from ai_engine.sam2 import adapter  # noqa: PLC0415
    from dicom_node.cli.adapter_training import encoder_of, one_hot  # noqa: PLC0415

    encoder, own = encoder_of(arguments.text), adapter.load(arguments.adapter)
    _check_text(arguments.adapter, encoder.sha256)
    texts = encoder_loading.load(encoder.path)
    named = {TEXT: {part: _tokens(own, said, torch.from_numpy(texts.read(said))) for part, said in HELD_OUT.items()}}
    if arguments.one_hot:
        numbers = adapter.load(arguments.one_hot)
        named[ONE_HOT] = {part: _tokens(numbers, [str(part)], vector) for part, vector in one_hot().items()}
    return named


def _tokens(adapter: "Adapter", said: Sequence[str], vectors: "Tensor") -> dict[str, "Tensor"]:
    return {text: adapter(vector[None]) for text, vector in zip(said, vectors.float(), strict=True)}


def _check_text(adapter: Path, sha256: str) -> None:
    """Refuse an adapter that was trained with another encoder."""
    beside = adapter.with_suffix(".json")
    told = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    if told.get("text") != sha256:
        raise NodeError(f"{adapter} was trained with the text of {told.get('text')}, not of {sha256}")


def _facts(arguments: argparse.Namespace, rows: Sequence[Judged]) -> dict[str, str]:
    low, high = CORE_SHARE
    seen = {each: len({row.nodule for row in rows if row.renderer == each}) for each in map(str, Renderer)}
    patients = len({row.patient_id for row in rows})
    return {
        "version": node.software_version(),
        "adapter": sha256_of(arguments.adapter)[:12],
        "seed": str(arguments.seed),
        "nodules": ", ".join(f"{n} by renderer {renderer}" for renderer, n in seen.items() if n)
        + f", of {patients} {arguments.split} patients; {low:.0%} to {high:.0%} of each is core",
        "prompt": "box around the planted nodule on its largest slice, each edge off by up to 10 % of the extent",
        "wordings": "; ".join(f"{part}: {len(HELD_OUT[part])}" for part in Part),
    }


def _command(arguments: argparse.Namespace) -> str:
    words = ["emerald", "evaluate", "adapter", "--out", arguments.out.name, "--adapter", arguments.adapter.name]
    for name in ("text", "one_hot"):
        words += [f"--{name.replace('_', '-')}", getattr(arguments, name).name] if getattr(arguments, name) else []
    words += ["--renderer", arguments.renderer] if arguments.renderer else []
    words += ["--split", arguments.split] if arguments.split != "test" else []
    return shlex.join([*words, "--nodules", str(arguments.nodules), "--seed", str(arguments.seed)])
