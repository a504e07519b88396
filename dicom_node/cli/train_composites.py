"""``emerald train composites``: the material of training, looked at: counts, noise, panels."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ai_engine.composites import Background, Composite, Renderer, Shards
from ai_engine.composites.panels import Picture, of_composites, of_lesion, sheet
from ai_engine.domain import NoduleType
from dicom_node.cases.lidc_database import LidcDatabase, Split
from dicom_node.cli.options import Commands, add_data, data_of
from dicom_node.errors import NodeError

PANELS = 50
SIZES_MM = (0, 6, 10, 20, 30, 100)


def add(networks: Commands) -> None:
    """Add the command to the parser of ``emerald train``."""
    parser = networks.add_parser(
        "composites",
        help="the material of training: compose it and look at it",
        description="Compose a cache of nodules of one split in lungs of that split, print what it holds, and how well "
        "a classifier tells planted from real soft tissue by the noise (AUC; 0.5 is not at all).",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the cache and the panels go")
    parser.add_argument("--n", type=int, default=1000, metavar="N", help="how many composites (1000)")
    parser.add_argument("--renderer", default="A", choices=[str(r) for r in Renderer], help="law of their looks (A)")
    parser.add_argument(
        "--split", default="training", choices=[str(s) for s in Split], help="whose outlines (training)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the composites (1)")
    add_data(parser, "the lungs: ct-chest/ and ct-backgrounds/")
    parser.add_argument("--panels", action="store_true", help=f"draw {PANELS} planted and {PANELS} real lesions as PNG")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compose, count, measure, draw."""
    data = data_of(arguments, "ct-backgrounds/")
    composites, lungs, seconds = _composed(arguments, data)
    print(
        f"{len(composites)} composites, renderer {arguments.renderer}, {arguments.split}: {seconds * 1000:.0f} ms each"
    )
    for line in _counts(composites):
        print(line)
    _print_noise(composites, lungs)
    if arguments.panels:
        _draw(arguments, data, composites)
    return 0


def _composed(arguments: argparse.Namespace, data: Path) -> tuple[Sequence[Composite], Sequence[Background], float]:
    """Fill the cache; what it held before is replaced."""
    from ai_engine.training.material import Ingredients, fill  # noqa: PLC0415 - not to slow other commands down
    from dicom_node.cases.lungs import backgrounds  # noqa: PLC0415
    from dicom_node.cases.shapes import nodule_shapes  # noqa: PLC0415
    from dicom_node.cases.splits import LUNG_USE_FOR, check_use  # noqa: PLC0415

    split, renderer = Split(arguments.split), Renderer(arguments.renderer)
    shapes = list(nodule_shapes(LidcDatabase(), split, seed=arguments.seed))
    lungs = list(backgrounds(data, LUNG_USE_FOR[split]))
    check_use(split, {shape.patient_id for shape in shapes}, [lung.name for lung in lungs])
    print(f"{len(shapes)} outlines of {len({shape.patient_id for shape in shapes})} patients, {len(lungs)} series")
    shards = Shards(arguments.out / f"{split}-{renderer}")
    shards.clear()
    begun = perf_counter()
    with _counted(arguments.n) as watch:
        fill(shards, Ingredients(shapes, lungs, arguments.seed, renderer), arguments.n, shams=True, watch=watch)
    return shards.read(), lungs, (perf_counter() - begun) / arguments.n


def _counts(composites: Sequence[Composite]) -> Iterator[str]:
    """Say how many of each type and size there are, and in which lungs."""
    sizes = list(pairwise(SIZES_MM))
    counts: Counter[tuple[str, int]] = Counter()
    for composite in composites:
        size = next(i for i, (low, high) in enumerate(sizes) if low <= composite.diameter_mm < high)
        counts[composite.nodule_type or "sham", size] += 1
    yield f"{'':14}" + "".join(f"{f'{low}-{high} mm':>10}" for low, high in sizes)
    for kind in (*NoduleType, "sham"):
        yield f"{kind:14}" + "".join(f"{counts[kind, i]:>10}" for i in range(len(sizes)))
    others = Counter(int(composite.labels.max(initial=1)) - 1 for composite in composites)
    yield "others beside: " + ", ".join(f"{n}: {others[n]}" for n in sorted(others))
    lungs = Counter(composite.lung for composite in composites)
    yield "lungs: " + ", ".join(f"{name} {lungs[name]}" for name in sorted(lungs))


def _print_noise(composites: Sequence[Composite], lungs: Sequence[Background]) -> None:
    from ai_engine.composites.noise_auc import noise_auc  # noqa: PLC0415

    try:
        told = noise_auc(composites, lungs)
    except ValueError as error:
        raise NodeError(f"the noise cannot be judged: {error}") from error
    print(f"noise AUC, planted against real soft tissue, in lungs not fitted in: {told.auc:.3f}")
    print(f"the same with real against real soft tissue: {told.control:.3f}")
    print("by one statistic: " + ", ".join(f"{name} {value:.3f}" for name, value in told.single.items()))
    print("patches of each kind: " + ", ".join(f"{name} {n}" for name, n in told.lungs.items()))


def _draw(arguments: argparse.Namespace, data: Path, composites: Sequence[Composite]) -> None:
    of_all = (composites[i] for i in range(len(composites)))
    planted = [picture for picture, _ in zip(of_composites(of_all), range(PANELS), strict=False)]
    name = f"planted-{arguments.split}-{arguments.renderer}"
    sheet(planted, f"Planted nodules, renderer {arguments.renderer}").save(arguments.out / f"{name}.png")
    sheet(_real(data), "Real lesions").save(arguments.out / "real.png")


def _real(data: Path) -> list[Picture]:
    """Cut slices through the real lesions of the shared cases, as many of each as there are to be had."""
    from dicom_node.cases import chest_case  # noqa: PLC0415

    folders = chest_case.case_folders(data / "ct-chest")
    each = -(-PANELS // len(folders))
    pictures: list[Picture] = []
    for case in map(chest_case.read, folders):
        for lesion in case.lesions:
            mask = lesion.truths[0].segment.on(case.volume.hu.shape)
            pictures += of_lesion(case.volume, mask, case.name, each)
    return pictures[:PANELS]


@contextmanager
def _counted(n: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("composing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("composing", total=n)
        yield lambda done: bar.update(task, completed=done)
