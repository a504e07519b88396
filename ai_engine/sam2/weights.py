"""Which weights there are, where they lie, and whether they are what they should be. No torch here.

The bundled ones lie in the package with their metadata and model card; the published ones are fetched by
`emerald models pull` into a folder of the site.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_engine.errors import WeightsCorrupt, WeightsError, WeightsMissing

ADAPTER = "adapter"

_BLOCK = 1 << 20
_HERE = Path(__file__).parent / "weights"
_PUBLISHED_AT = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"


@dataclass(frozen=True)
class Model:
    """One set of weights.

    Attributes
    ----------
    name : str
        As settings and commands name it.
    config : str
        The network they belong to (``network.build``).
    image_size : int
        Side of the frames in pixels.
    file, size, sha256, licence : str, int, str, str
        Of the file; an empty sha256 is that of weights that were not made yet.
    url : str
        Where it is published; empty for bundled weights.
    """

    name: str
    config: str
    image_size: int
    file: str
    size: int
    sha256: str
    licence: str
    url: str = ""


@dataclass(frozen=True)
class Weights:
    """A set of weights as a site has it.

    Attributes
    ----------
    path : Path
        The file.
    sha256 : str
        What the file must have: the model's own, or that of the site's own file.
    """

    model: Model
    path: Path
    sha256: str

    @property
    def metadata(self) -> dict[str, Any]:
        """What stands beside the file; nothing beside weights that were published elsewhere."""
        return _metadata(self.path.with_suffix(".json"))

    def check(self) -> None:
        """Make sure that the file is there and is the right one.

        Raises
        ------
        WeightsMissing
            There is no file.
        WeightsCorrupt
            The file is another one.
        """
        if not self.path.is_file():
            raise WeightsMissing(f"the weights {self.model.name} are not at {self.path}{_remedy(self.model)}")
        found = sha256_of(self.path)
        if found != self.sha256:
            wanted = self.sha256 or "that of a file that was not made yet"
            raise WeightsCorrupt(f"{self.path} is not {self.model.name}: its sha256 is {found}, not {wanted}")


def _remedy(model: Model) -> str:
    if model.url:
        return f": `emerald models pull {model.name}` fetches them"
    return ": this installation is damaged" if model.sha256 else ": they do not come with this version"


# SAM2.1 as published on 29 September 2024, facebookresearch/sam2, Apache-2.0. 512 pixels, as MedSAM2 has it, because
# what is shown is a region around a nodule and not a whole photograph.
_PUBLISHED = (
    ("tiny", "t", 156_008_466, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
    ("small", "s", 184_416_285, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
    ("base_plus", "b+", 323_606_802, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
    ("large", "l", 898_083_611, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
)


def published() -> Iterator[Model]:
    """Yield the published models."""
    for name, short, size, sha256 in _PUBLISHED:
        file = f"sam2.1_hiera_{name}.pt"
        yield Model(
            f"sam2.1_hiera_{name}", f"sam2.1_hiera_{short}", 512, file, size, sha256, "Apache-2.0", _PUBLISHED_AT + file
        )


def bundled() -> Model:
    """Return the model in the package; its size and sha256 stand in the metadata beside the weights."""
    file = "compact.safetensors"
    told = _metadata((_HERE / file).with_suffix(".json"))
    return Model("bundled", "compact", 128, file, told.get("size", 0), told.get("sha256", ""), "Apache-2.0")


def adapter() -> Weights:
    """Return the adapter for parts in the package; an empty sha256 is that of a version without one."""
    path = _HERE / f"{ADAPTER}.safetensors"
    told = _metadata(path.with_suffix(".json"))
    model = Model(ADAPTER, ADAPTER, 0, path.name, told.get("size", 0), told.get("sha256", ""), "Apache-2.0")
    return Weights(model, path, model.sha256)


def _metadata(path: Path) -> dict[str, Any]:
    """Read what stands beside weights; nothing where they were not made yet."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def models() -> tuple[Model, ...]:
    """Return all models: the bundled one first."""
    return (bundled(), *published())


def model(name: str) -> Model:
    """Return the model of this name; raises ``WeightsError`` if there is none."""
    for each in models():
        if each.name == name:
            return each
    raise WeightsError(f"there is no model {name!r}, only {', '.join(each.name for each in models())}")


def weights_of(of: Model, models_dir: Path, path: Path | None = None, sha256: str = "") -> Weights:
    """Say where the weights of a model are, and what they must be.

    Parameters
    ----------
    models_dir : Path
        Where published weights lie; the bundled ones lie in the package.
    path, sha256 : Path or None, str
        The site's own file and its sha256, instead of the model's.
    """
    home = models_dir if of.url else _HERE
    return Weights(of, path or home / of.file, sha256.lower() or of.sha256)


def compact_file(path: Path) -> Weights:
    """Take a file of the compact network, as training writes it, for what it is: it must have the SHA-256 it has."""
    return Weights(bundled(), path, sha256_of(path))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
