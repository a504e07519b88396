"""The study that is sent, and a sender that repeats it until it went through, as a modality does."""

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from ai_engine.domain import Laterality
from ai_engine.phantom import Build, LungPosition, Sphere, thorax
from dicom_node.cases import phantom_series
from dicom_node.cases.phantom_series import SeriesIdentity
from dicom_node.domain import RemoteAE
from tests.support.programs import DCMTK

SHAPE, SPACING_KRC_MM = (40, 128, 128), (1.25, 2.8, 2.8)
NODULES = (Sphere(LungPosition(Laterality.LEFT, 0.5), 12), Sphere(LungPosition(Laterality.RIGHT, 0.5), 9))
_PAUSE_S = 0.5


@dataclass(frozen=True)
class Study:
    """A study on disk: SOP Instance UID -> file."""

    folder: Path
    files: dict[str, Path]


def make_study(folder: Path, seed: str = "crash") -> Study:
    """Write the phantom of 40 slices; without vessels, so that its analysis is short. The UIDs are of the seed."""
    phantom = thorax(SHAPE, SPACING_KRC_MM, 7, NODULES, Build(ends_per_lung=0))
    paths = phantom_series.write(phantom.volume, SeriesIdentity(seed), folder)
    return Study(folder, {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in paths})


class Sender(threading.Thread):
    """DCMTK's storescu, started again after every failure, until the whole study was stored.

    Parameters
    ----------
    log : Path
        What storescu says, of all tries.
    """

    def __init__(self, study: Study, to: RemoteAE, log: Path) -> None:
        super().__init__(name="sender", daemon=True)
        self._study = study
        self._log = log
        options = ["-v", "-xe", "-to", "10", "-aec", to.ae_title]
        self._command = [str(DCMTK / "storescu"), *options, "+sd", to.host, str(to.port), str(study.folder)]
        self._enough = threading.Event()
        self.n_tries = 0

    def run(self) -> None:
        """Send until it went through."""
        environ = os.environ | {"TCP_NODELAY": "1"}
        while not self._enough.is_set():
            self.n_tries += 1
            with self._log.open("ab") as log:
                if subprocess.run(self._command, stdout=log, stderr=log, env=environ, check=False).returncode == 0:
                    return
            time.sleep(_PAUSE_S)

    def stop(self) -> None:
        """Do not try again."""
        self._enough.set()

    def acknowledged(self) -> set[Path]:
        """Return the files that the receiver has answered Success for, in any try."""
        found: set[Path] = set()
        sending: Path | None = None
        for line in self._log.read_text(encoding="utf-8").splitlines():
            if "Sending file: " in line:
                sending = Path(line.partition("Sending file: ")[2].strip())
            elif "Received Store Response (Success)" in line and sending is not None:
                found.add(sending)
        return found
