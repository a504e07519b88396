"""Which weights score which lung, so that no lung is scored by a network that saw it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ai_engine.composites import Background
from ai_engine.evaluation.detection import OWN, OwnScore, Scorer
from dicom_node.cases.lidc_database import Split
from dicom_node.cases.splits import LUNG_USE_FOR, LungUse, check_unseen
from dicom_node.cli.trained_lungs import trained_in
from dicom_node.errors import CaseDataMissing, SettingsError

_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Weights:
    """Files of weights.

    Attributes
    ----------
    file : Path or None
        Scores all lungs that have no file of their own; None: there the candidates' own score alone stands.
    folds : dict
        Patient of a training lung -> weights that never saw it.
    """

    file: Path | None
    folds: Mapping[str, Path]
    _loaded: dict[Path, dict[str, Scorer]] = field(default_factory=dict, compare=False)

    @cached_property
    def held_out(self) -> frozenset[str]:
        """Patients whose lungs are tested in although others train in them."""
        return frozenset(self.folds)

    @property
    def told(self) -> str:
        """Say which weights score."""
        words = [self.file.name] if self.file else []
        words += [f"{path.name} in {patient}" for patient, path in self.folds.items()]
        return ", ".join(words) or "none: candidates' own score"

    def path_for(self, lung: str) -> Path | None:
        """Return the file that scores a lung, None if there is none.

        Raises
        ------
        SplitViolation
            The weights were trained in it.
        CaseDataMissing
            Nothing says where they were trained.
        """
        patient = lung.split("/", maxsplit=1)[0]
        path = self.folds.get(patient, self.file)
        if path is not None:
            check_unseen(patient, trained_in(path))
        return path

    def scorers_for(self, lung: str) -> dict[str, Scorer]:
        """Return what scores a lung; raises as ``path_for``."""
        path = self.path_for(lung)
        scorers: dict[str, Scorer] = {OWN: OwnScore()}
        if path is None:
            return scorers
        if path not in self._loaded:
            self._loaded[path] = _load(path)
        return scorers | self._loaded[path]

    def has_seen(self, patient: str) -> bool:
        """Tell whether the weights for all lungs were trained in this one, which has none of its own."""
        return self.file is not None and patient not in self.folds and patient in trained_in(self.file)

    def find_for(self, lungs: Iterable[str]) -> None:
        """Find what scores some lungs before the first is searched, which takes hours; raises as ``scorers_for``."""
        for lung in lungs:
            self.scorers_for(lung)

    def lungs(self, data: Path, split: Split) -> Iterator[Background]:
        """Read the lungs to test in: those of the split, and training lungs that have a fold of their own.

        With folds alone only the lungs that have one: elsewhere nothing of what is judged would score.

        Raises
        ------
        CaseDataMissing
            There is none.
        """
        from dicom_node.cases.lungs import backgrounds, names  # noqa: PLC0415 - not to slow other commands down

        own = None if self.file is not None or not self.folds else self._with_fold(names(data, LUNG_USE_FOR[split]))
        training = self._with_fold(names(data, LungUse.TRAINING))
        if own == training == set():
            raise CaseDataMissing(f"no lung below {data} is one that --folds names: {', '.join(self.folds)}")
        if own != set():
            yield from backgrounds(data, LUNG_USE_FOR[split], own)
        if training:
            yield from backgrounds(data, LungUse.TRAINING, training)

    def _with_fold(self, lungs: Iterable[str]) -> set[str]:
        return {lung for lung in lungs if lung.split("/", maxsplit=1)[0] in self.folds}


def weights_of(file: Path | None, folder: Path | None) -> Weights:
    """Find the files that are named on the command line.

    Raises
    ------
    SettingsError
        There is no such file, or no fold in the folder.
    """
    if file is not None and not file.is_file():
        raise SettingsError("--weights", f"{file}: no such file")
    folds = {} if folder is None else {path.stem: path for path in sorted(folder.glob(f"*{_SUFFIX}"))}
    if folder is not None and not folds:
        raise SettingsError("--folds", f"{folder} holds no LUNG{_SUFFIX}")
    return Weights(file, folds)


def _load(path: Path) -> dict[str, Scorer]:
    from ai_engine.clip.scorer import scorers  # noqa: PLC0415 - torch takes seconds to import

    return scorers(path)
