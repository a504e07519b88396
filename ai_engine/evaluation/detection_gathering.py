"""Scans searched one after the other, so that memory holds one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ai_engine.candidates import Proposer
from ai_engine.errors import NoLungs
from ai_engine.evaluation.detection import Exam, Proposed, Scorer, judged, proposed
from ai_engine.evaluation.detection_report import RealScan, Worse, pooled
from ai_engine.evaluation.froc import Searched

Scorers = Mapping[str, Scorer]


@dataclass
class Search:
    """Searches scans one after the other; one without lungs is counted and ends nothing."""

    proposer: Proposer
    without_lungs: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def of(self, exam: Exam) -> Proposed | None:
        """Search a scan; None where no lungs are found."""
        try:
            found = proposed(exam, self.proposer)
        except NoLungs:
            self.without_lungs.append(exam.scan)
            return None
        self.seconds.append(found.seconds)
        return found

    def facts(self) -> dict[str, str]:
        """Say what is left out, and how long the candidates take."""
        facts = {"left out, as no lungs are found": ", ".join(self.without_lungs) or "none"}
        if self.seconds:
            facts["CPU seconds for the candidates of a scan"] = (
                f"{np.mean(self.seconds):.1f} on average, {max(self.seconds):.1f} at most"
            )
        return facts


@dataclass
class Gathered:
    """What came out so far; the fields are those of ``DetectionReport``."""

    search: Search
    proposed: dict[str, list[Searched]] = field(default_factory=dict)
    scored: dict[str, dict[str, list[Searched]]] = field(default_factory=dict)
    worse: dict[str, Worse] = field(default_factory=dict)
    real: list[RealScan] = field(default_factory=list)

    def add_planted(self, exam: Exam, renderer: str, scorers: Scorers) -> dict[str, Searched]:
        """Search a planted scan."""
        found = self.search.of(exam)
        if found is None:
            return {}
        self.proposed.setdefault(renderer, []).append(found.searched)
        results = judged(exam, found, scorers)
        for name, searched in results.items():
            self.scored.setdefault(name, {}).setdefault(renderer, []).append(searched)
        return results

    def add_worse(self, change: str, exam: Exam, before: Mapping[str, Searched], scorers: Scorers) -> None:
        """Search a planted scan that was made worse; ``before`` is what ``add_planted`` returned of it."""
        found = self.search.of(exam)
        if found is None or not before:
            return
        pair = self.worse.setdefault(change, Worse({}, {}))
        for name, each in judged(exam, found, scorers).items():
            left = {target.name for target in each.targets}
            pair.before.setdefault(name, []).append(_only(before[name], left))
            pair.after.setdefault(name, []).append(each)

    def add_real(self, exam: Exam, scorers: Scorers) -> None:
        """Search a real scan."""
        found = self.search.of(exam)
        if found is None:
            return
        self.real += [RealScan(name, each) for name, each in judged(exam, found, scorers).items()]

    def facts(self) -> dict[str, str]:
        """Say how many candidates there are, and how long they take."""
        scans = pooled(self.proposed)
        facts = self.search.facts()
        if scans:
            facts["planted nodules"] = str(sum(len(scan.targets) for scan in scans))
        return facts


def _only(searched: Searched, names: set[str]) -> Searched:
    return replace(searched, targets=tuple(target for target in searched.targets if target.name in names))
