"""The rows of one subject. READ FIRST.

own detections -> prompted with a box -> prompted with a point -> baselines -> reader against reader
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from ai_engine.domain import Candidate, Segment
from ai_engine.engine import Engine
from ai_engine.errors import EmptySegment
from ai_engine.evaluation import baselines
from ai_engine.evaluation.contestants import Contestant
from ai_engine.evaluation.domain import Picture, Protocol, Row, Subject, Truth
from ai_engine.evaluation.prompts import Prompt, box_of, point_of
from ai_engine.evaluation.scores import diameter_mm, key_slice, score, together
from ai_engine.scene import Scene

Found = Sequence[tuple[Candidate, Segment]]

# around the truth, in a picture
_MARGIN_MM = 15.0
_PICTURED = (Protocol.OWN, Protocol.BOX)


def rows_of(
    subject: Subject, contestants: Sequence[Contestant], found: Mapping[str, Found], seed: int
) -> Iterator[Row]:
    """Compute all rows of one subject; every contestant, and the baseline, gets the same prompts.

    Parameters
    ----------
    found : mapping
        Name of each contestant -> all that it found in the subject's scene (``detections``).
    """
    for contestant in contestants:
        yield from own_rows(subject, contestant, found[contestant.name])
        yield from prompted_rows(subject, contestant, rng_of(subject, seed))
    yield from baseline_rows(subject, rng_of(subject, seed))
    yield from reader_rows(subject)


def rng_of(subject: Subject, seed: int) -> np.random.Generator:
    """Return the generator of a subject's prompts: the same in every run, whatever else is run."""
    return np.random.default_rng([seed, zlib.crc32(subject.name.encode())])


def own_rows(subject: Subject, contestant: Contestant, found: Found) -> list[Row]:
    """Rows of what a tier found by itself, and of the ellipsoid in its own box."""
    own = match(subject, [segment for _, segment in found])
    baseline = None if own is None else baselines.ellipsoid_in_box(own)
    name = f"{baselines.IN_OWN_BOX}, {contestant.name}"
    return [
        *_against_all(subject, Protocol.OWN, contestant.name, own),
        *_against_all(subject, Protocol.BASELINE, name, baseline),
    ]


def detections(scene: Scene, contestants: Sequence[Contestant]) -> dict[str, Found]:
    """Search a scene once with every tier."""
    return {contestant.name: Engine(tier=contestant.tier).search(scene) for contestant in contestants}


def match(subject: Subject, segments: Sequence[Segment]) -> Segment | None:
    """Find the segment that counts as the subject's lesion.

    As in LUNA16, the centre of the segment lies nearer to that of the truth than the truth's radius; the two must also
    overlap. Of several, the one with the largest overlap counts, not the one with the best Dice.
    """
    truth = subject.lesion.truths[0].segment
    spacing = subject.scene.volume.spacing_krc_mm
    radius = radius_mm(truth, spacing)
    best, largest = None, 0
    for segment in segments:
        both = int(np.count_nonzero(np.logical_and(*together(truth, segment))))
        apart = np.linalg.norm((segment.middle_krc - truth.middle_krc) * spacing)
        if apart < radius and both > largest:
            best, largest = segment, both
    return best


def radius_mm(truth: Segment, spacing_mm: tuple[float, float, float]) -> float:
    """Half of the mean diameter, but at least that of the ball of the same volume: some lesions are tall."""
    volume = np.count_nonzero(truth.mask) * float(np.prod(spacing_mm))
    return max(diameter_mm(truth.mask, spacing_mm) / 2, float(np.cbrt(0.75 * volume / np.pi)))


def prompted_rows(subject: Subject, contestant: Contestant, rng: np.random.Generator) -> list[Row]:
    """Rows of a tier that is shown the lesion: by a jittered box, and by a point."""
    if not subject.lesion.truths[0].is_outline:
        return []
    point = answer(subject, contestant, point_of(subject.lesion.truths[0].segment))
    return box_rows(subject, contestant, rng) + _against_all(subject, Protocol.POINT, contestant.name, point)


def box_rows(subject: Subject, contestant: Contestant, rng: np.random.Generator) -> list[Row]:
    """Rows of a tier that is shown the lesion by a jittered box."""
    box = box_of(subject.lesion.truths[0].segment, rng)
    return _against_all(subject, Protocol.BOX, contestant.name, answer(subject, contestant, box))


def answer(subject: Subject, contestant: Contestant, prompt: Prompt) -> Segment | None:
    """Prompt a tier; None where it says that nothing is there."""
    try:
        return contestant.prompted.outline(subject.scene, prompt)
    except EmptySegment:
        return None


def baseline_rows(subject: Subject, rng: np.random.Generator) -> list[Row]:
    """Rows that look at no image. The first two know the truth of the judge they are held against."""
    rows = []
    for truth in _outlines(subject):
        for name, draw in (
            (baselines.ON_EVERY_SLICE, baselines.ellipse_on_every_slice),
            (baselines.IN_TRUTH_BOX, baselines.ellipsoid_in_box),
        ):
            rows.append(_row(subject, Protocol.BASELINE, name, truth, draw(truth.segment)))
    if not subject.lesion.truths[0].is_outline:
        return rows
    volume = subject.scene.volume
    prompt = box_of(subject.lesion.truths[0].segment, rng)
    ball = baselines.ellipsoid_in_prompt(prompt, volume.spacing_krc_mm, volume.hu.shape[0])
    return rows + _against_all(subject, Protocol.BASELINE, baselines.IN_PROMPT, ball)


def reader_rows(subject: Subject) -> list[Row]:
    """Rows of every pair of readers: the second plays the contestant."""
    rows = []
    for (i, one), (j, other) in combinations(enumerate(subject.lesion.readers, start=1), 2):
        truth = Truth(f"reader {i}", one)
        rows.append(_row(subject, Protocol.READERS, f"reader {j}", truth, other))
    return rows


def _against_all(subject: Subject, protocol: Protocol, name: str, mask: Segment | None) -> list[Row]:
    return [_row(subject, protocol, name, truth, mask) for truth in subject.lesion.truths]


def _outlines(subject: Subject) -> Iterator[Truth]:
    return (truth for truth in subject.lesion.truths if truth.is_outline)


def _row(subject: Subject, protocol: Protocol, name: str, truth: Truth, mask: Segment | None) -> Row:
    spacing = subject.scene.volume.spacing_krc_mm
    row = Row(
        subject=subject.name,
        material=subject.material,
        protocol=protocol,
        contestant=name,
        judge=truth.by,
        nodule_type=subject.lesion.nodule_type,
        diameter_mm=diameter_mm(subject.lesion.truths[0].segment.mask, spacing),
        found=mask is not None,
        scores=None,
        confidence=None if mask is None else mask.confidence,
        is_doubtful=mask is not None and mask.is_doubtful,
    )
    if not truth.is_outline:
        return row
    return replace(
        row,
        scores=None if mask is None else score(truth.segment, mask, spacing),
        picture=picture(subject, truth.segment, mask) if protocol in _PICTURED else None,
    )


def picture(subject: Subject, truth: Segment, mask: Segment | None) -> Picture:
    """Cut out the slice of the truth's largest area, with a margin."""
    volume = subject.scene.volume
    k = truth.origin_krc[0] + key_slice(truth.mask)
    margin = np.ceil(_MARGIN_MM / np.array(volume.spacing_krc_mm[1:])).astype(int)
    low = np.maximum(np.array(truth.origin_krc[1:]) - margin, 0)
    high = np.minimum(np.add(truth.origin_krc, truth.mask.shape)[1:] + margin, volume.hu.shape[1:])
    box = (slice(low[0], high[0]), slice(low[1], high[1]))
    planes = [_plane(segment, k, volume.hu.shape)[box] for segment in (truth, mask)]
    return Picture(volume.hu[k][box].copy(), planes[0], planes[1], volume.spacing_krc_mm[1])


def _plane(segment: Segment | None, k: int, shape: tuple[int, ...]) -> np.ndarray:
    plane = np.zeros(shape[1:], dtype=bool)
    if segment is not None and 0 <= k - segment.origin_krc[0] < len(segment.mask):
        plane[segment.box[1:]] = segment.mask[k - segment.origin_krc[0]]
    return plane
