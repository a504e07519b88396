"""Places in lungs with what is known of them, cut out once per series and kept on disk.

A fold leaves the series of a patient out (``Places.without``); everything else of a run stays the same.
"""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_engine.clip.facts import Attribute, Facts
from ai_engine.clip.patches import CLOSE, COARSE, FINE, Scale

# Grid points kept on each side for shifts.
MARGIN = 2
SCALES: dict[str, Scale] = {"fine": FINE, "coarse": COARSE, "close": CLOSE}


@dataclass(frozen=True, eq=False)
class Place:
    """One place, cut out.

    Attributes
    ----------
    fine, coarse, close : (k, r, c) uint8
        ``patches.packed``, with ``MARGIN`` on each side.
    facts : Facts
    lung : str
        Name of the series.
    told : dict
        What figures are split by: kind, diameter_mm, patient_id...; plain values.
    """

    fine: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    close: NDArray[np.uint8]
    facts: Facts
    lung: str
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        """Whose lung it is."""
        return self.lung.split("/")[0]


@dataclass(frozen=True)
class PlaceFiles:
    """A folder of places, four files per series; ``NAME.json`` is written last and says that they are whole."""

    folder: Path

    def holds(self, lung: str) -> bool:
        """Tell whether a series was written to its end."""
        return self._named(lung, "json").is_file()

    def made_from(self, lung: str) -> dict[str, Any]:
        """Say what the places of a series were made from; empty where there are none."""
        path = self._named(lung, "json")
        return dict(json.loads(path.read_text(encoding="utf-8"))["made_from"]) if path.is_file() else {}

    def write(self, lung: str, places: Sequence[Place], made_from: dict[str, Any]) -> None:
        """Write the places of one series."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, scale in SCALES.items():
            shape = (0, *([scale.points + 2 * MARGIN] * 3))
            cubes = [getattr(place, name) for place in places]
            np.save(self._named(lung, f"{name}.npy"), np.stack(cubes) if cubes else np.empty(shape, np.uint8))
        values = [{"facts": dict(place.facts.values), **place.told} for place in places]
        part = self._named(lung, "part")
        part.write_text(json.dumps({"lung": lung, "made_from": made_from, "places": values}), encoding="utf-8")
        os.replace(part, self._named(lung, "json"))

    def read(self) -> "Places":
        """Open all series."""
        return Places(tuple(self._read(path) for path in sorted(self.folder.glob("*.json"))))

    def _read(self, path: Path) -> "Series":
        told = json.loads(path.read_text(encoding="utf-8"))
        cubes = {name: np.load(self._named(told["lung"], f"{name}.npy"), mmap_mode="r") for name in SCALES}
        return Series(told["lung"], cubes, tuple(told["places"]))

    def _named(self, lung: str, suffix: str) -> Path:
        return self.folder / f"{lung.replace('/', '--')}.{suffix}"


@dataclass(frozen=True, eq=False)
class Series:
    """The places of one series, still on disk: (n, k, r, c) uint8 for each scale, and the other values of each."""

    lung: str
    cubes: dict[str, NDArray[np.uint8]]
    values: tuple[dict[str, Any], ...]

    @property
    def patient(self) -> str:
        """Whose lung it is."""
        return self.lung.split("/")[0]

    def place(self, i: int) -> Place:
        """Read one place."""
        told = {name: value for name, value in self.values[i].items() if name != "facts"}
        cubes = {name: cubes[i] for name, cubes in self.cubes.items()}
        return Place(**cubes, facts=self.facts(i), lung=self.lung, told=told)

    def facts(self, i: int) -> Facts:
        """Say what is known of one place."""
        known = self.values[i]["facts"]
        return Facts(MappingProxyType({Attribute(name): value for name, value in known.items()}))


@dataclass(frozen=True, eq=False)
class Places:
    """The places of several series."""

    series: tuple[Series, ...]

    def __len__(self) -> int:
        return sum(len(each.values) for each in self.series)

    def without(self, patients: Collection[str]) -> "Places":
        """Leave the series of some patients out."""
        return Places(tuple(each for each in self.series if each.patient not in patients))

    def where(self, kind: str) -> list[tuple[int, int]]:
        """Index (series, place) of all of one kind: ``nodule``, ``sham`` or ``candidate``."""
        return [
            (s, i) for s, each in enumerate(self.series) for i, value in enumerate(each.values) if value["kind"] == kind
        ]

    def at(self, index: tuple[int, int]) -> Place:
        """Read one place."""
        return self.series[index[0]].place(index[1])

    def facts(self, index: tuple[int, int]) -> Facts:
        """Say what is known of one place."""
        return self.series[index[0]].facts(index[1])

    def patients(self) -> Iterable[str]:
        """Name whose outlines were painted."""
        return {value["patient_id"] for each in self.series for value in each.values if value.get("patient_id")}
