"""What is judged, and what came out: case -> subject -> row."""

from dataclasses import dataclass
from enum import StrEnum

from ai_engine.domain import BoolArray, CtVolume, HuArray, NoduleType, Segment
from ai_engine.evaluation.scores import Scores
from ai_engine.scene import Scene


class Material(StrEnum):
    """Where the voxels come from. Figures of different materials are never set against each other."""

    DEVELOPMENT = "development cases"
    LIDC = "LIDC-IDRI test patients"
    LUNA16 = "LUNA16 test patients"
    COMPOSITES_A = "composites, renderer A"
    COMPOSITES_B = "composites, renderer B"


class Protocol(StrEnum):
    """What the contestant was told."""

    OWN = "own detections"
    BOX = "prompted: truth's box, jittered"
    POINT = "prompted: one point"
    BASELINE = "baseline"
    READERS = "reader against reader"


@dataclass(frozen=True, eq=False)
class Truth:
    """What one judge says of one lesion.

    Attributes
    ----------
    by : str
        Who outlined it: ``"reader 1"``, ``"at least half of 4 readers"``, ``"majority of 9 algorithm runs"``.
    segment : Segment
        On the grid of the case.
    is_outline : bool
        False where it is boxes only: then it can be found, but no overlap is computed.
    """

    by: str
    segment: Segment
    is_outline: bool = True


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion, with all that judges say of it.

    Attributes
    ----------
    nodule_type : NoduleType or None
        None where no reader rated it.
    truths : tuple of Truth
        The first one decides whether it was found, is the source of prompts, and gives the size.
    readers : tuple of Segment
        Outlines of single readers, to be held against each other; fewer than two: no such row.
    """

    name: str
    nodule_type: NoduleType | None
    truths: tuple[Truth, ...]
    readers: tuple[Segment, ...] = ()


@dataclass(frozen=True, eq=False)
class Case:
    """One series with its lesions; the grid is turned (``geometry.Turn``)."""

    name: str
    volume: CtVolume
    lesions: tuple[Lesion, ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """One lesion in the scene in which it is looked for.

    Attributes
    ----------
    scene : Scene
        Of a whole examination, or of a crop.
    distractors : tuple of Segment
        Other nodules known to be in the scene, whole.
    """

    name: str
    material: Material
    scene: Scene
    lesion: Lesion
    distractors: tuple[Segment, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """The slice of the truth's largest area around a lesion; all (r, c), of one shape."""

    hu: HuArray
    truth: BoolArray
    mask: BoolArray
    pixel_mm: float


@dataclass(frozen=True, eq=False)
class Row:
    """One contestant's answer on one lesion, against one judge.

    Attributes
    ----------
    contestant : str
        A tier or a baseline.
    judge : str
        ``Truth.by``.
    diameter_mm : float
        Of the truth: mean of long and short axis on its largest slice.
    found : bool
        Whether there is a mask for this lesion at all.
    scores : Scores or None
        None where nothing was found, or where the truth is no outline.
    confidence : float or None
        As the contestant tells it.
    is_doubtful : bool
        The contestant flagged its mask.
    """

    subject: str
    material: Material
    protocol: Protocol
    contestant: str
    judge: str
    nodule_type: NoduleType | None
    diameter_mm: float
    found: bool
    scores: Scores | None
    confidence: float | None = None
    is_doubtful: bool = False
    picture: Picture | None = None

    @property
    def dice(self) -> float:
        """Dice, where a miss is 0."""
        return self.scores.volume.dice if self.scores else 0.0
