"""Composites on disk: npz files of some dozens each."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_engine.composites.domain import Composite, Renderer
from ai_engine.domain import NoduleType

# Fast to write; HU are noise, which no effort makes much smaller.
ZLIB_LEVEL = 1


@dataclass(frozen=True)
class Shards:
    """A folder of composites.

    ``00000.npz`` and on hold the arrays, each readable on its own, HU as differences along c; ``00000.json`` and on
    hold the other values.
    """

    folder: Path

    def clear(self) -> None:
        """Remove all shards."""
        for path in (*self.folder.glob("[0-9]*.json"), *self.folder.glob("[0-9]*.npz")):
            path.unlink()

    def holds(self, number: int) -> bool:
        """Tell whether a shard was written to its end."""
        return self._values_of(number).is_file()

    def write(self, number: int, composites: Sequence[Composite]) -> None:
        """Write one shard; its .json comes last, so that a shard cut short is not read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._values_of(number).unlink(missing_ok=True)
        arrays = self.folder / f"{number:05d}.npz"
        with zipfile.ZipFile(arrays, "w", zipfile.ZIP_DEFLATED, compresslevel=ZLIB_LEVEL) as archive:
            for i, composite in enumerate(composites):
                # neighbours differ less than values vary: differences pack better
                _add(archive, f"hu_{i}", np.diff(composite.hu, axis=2, prepend=np.int16(0)))
                _add(archive, f"labels_{i}", composite.labels)
        told = json.dumps([_values(composite) for composite in composites])
        self._values_of(number).write_text(told, encoding="utf-8")

    def read(self) -> "Cached":
        """Return all composites as a sequence that reads each when it is asked for."""
        entries = []
        for path in sorted(self.folder.glob("[0-9]*.json")):
            told = json.loads(path.read_text(encoding="utf-8"))
            entries += [(path.with_suffix(".npz"), i, values) for i, values in enumerate(told)]
        return Cached(tuple(entries))

    def _values_of(self, number: int) -> Path:
        return self.folder / f"{number:05d}.json"


@dataclass(frozen=True, eq=False)
class Cached(Sequence[Composite]):
    """Composites on disk, indexed in the order in which they were written.

    Attributes
    ----------
    entries : tuple of (Path, int, dict)
        File, number within it, and the values that are not arrays, by name of the field.
    """

    entries: tuple[tuple[Path, int, dict[str, Any]], ...]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Composite]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Cached(self.entries[index])
        path, i, values = self.entries[index]
        with np.load(path, allow_pickle=False) as shard:
            hu = np.cumsum(shard[f"hu_{i}"], axis=2, dtype=np.int16)
            return _composite(hu, shard[f"labels_{i}"], values)


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def _values(composite: Composite) -> dict[str, Any]:
    kind = composite.nodule_type
    return {
        "spacing_krc_mm": composite.spacing_krc_mm,
        "renderer": composite.renderer,
        "nodule_type": kind,
        "diameter_mm": composite.diameter_mm,
        "patient_id": composite.patient_id,
        "annotation_id": composite.annotation_id,
        "lung": composite.lung,
        "seed": composite.seed,
        "is_sham": composite.is_sham,
        "sham_centre_krc": composite.sham_centre_krc,
        "origin_krc": composite.origin_krc,
    }


def _composite(hu: NDArray[np.int16], labels: NDArray[np.uint8], values: dict[str, Any]) -> Composite:
    tuples = ("spacing_krc_mm", "sham_centre_krc", "origin_krc")
    fields: dict[str, Any] = {
        name: tuple(value) if name in tuples and value else value for name, value in values.items()
    }
    fields["renderer"] = Renderer(fields["renderer"])
    fields["nodule_type"] = NoduleType(fields["nodule_type"]) if fields["nodule_type"] else None
    return Composite(hu=hu, labels=labels, **fields)
