"""Images a second over one and four associations: every server in turn, and the node while it analyses."""

import os
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from dicom_node.domain import RemoteAE
from tests.bench import studies
from tests.bench.servers import NODE, SLOW, Server, busy_node
from tests.support.programs import DCMTK

N_PARALLEL = 4
# With Nagle's algorithm each image takes 40 ms: fewer of them tell as much.
_N_SLOW = 60
WHILE_ANALYSING = f"{NODE}, analysing"

Tell = Callable[[str], None]
# Folders to be sent at once, by number of associations.
Loads = Mapping[int, Sequence[Path]]


@dataclass
class Reception:
    """Images a second by server and number of associations, one value for each round."""

    rates: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def rate(self, server: str, n_associations: int) -> float | None:
        """Return the median of the rounds; None where the server was not measured."""
        values = self.rates.get((server, n_associations))
        return median(values) if values else None

    def ratio(self, server: str, to: str, n_associations: int) -> float | None:
        """Return the median over the rounds of the ratio of two servers in the same round."""
        pairs = zip(
            self.rates.get((server, n_associations), ()), self.rates.get((to, n_associations), ()), strict=False
        )
        ratios = [one / other for one, other in pairs]
        return median(ratios) if ratios else None


def measure(servers: dict[str, Server], study: Path, folder: Path, rounds: int, tell: Tell) -> Reception:
    """Measure all servers in every round, each with fresh storage; the node once more while it analyses.

    Nothing is removed before the last round has ended (3 GB a round): ext4 shuns the inodes of files that were removed
    within the last half minute, and whoever then makes new files pays for the search.
    """
    *whole, another = studies.copies(study, folder / "copies", N_PARALLEL + 2)
    loads = {1: whole[:1], N_PARALLEL: whole[1:]}
    result = Reception()
    with fresh(folder / "storage") as storage:
        for number in range(1, rounds + 1):
            _idle(servers, loads, storage / f"idle-{number}", result, backwards=number % 2 == 0)
            with busy_node(storage / f"busy-{number}", [study, another]) as remote:
                for n, load in loads.items():
                    result.rates[WHILE_ANALYSING, n].append(images_per_second(load, remote))
            rates = ", ".join(f"{name} {n}: {values[-1]:.0f}" for (name, n), values in result.rates.items())
            tell(f"round {number}: {rates}")
    return result


def _idle(servers: dict[str, Server], loads: Loads, storage: Path, result: Reception, *, backwards: bool) -> None:
    """Let all run at once and measure one after the other, so that little time lies between those to be compared."""
    with ExitStack() as stack:
        remotes = {name: stack.enter_context(open_in(storage / name)) for name, open_in in servers.items()}
        for n, load in loads.items():
            for name in list(remotes)[:: -1 if backwards else 1]:
                sent = load
                if name in SLOW:
                    sent = [studies.part(one, storage / "parts" / one.name, _N_SLOW) for one in load]
                result.rates[name, n].append(images_per_second(sent, remotes[name]))


def images_per_second(folders: Sequence[Path], to: RemoteAE) -> float:
    """Send each folder over an association of its own, all at once, with DCMTK's storescu."""
    command = [str(DCMTK / "storescu"), "-xe", "-aec", to.ae_title, "+sd", to.host, str(to.port)]
    environ = os.environ | {"TCP_NODELAY": "1"}
    for path in (path for folder in folders for path in folder.iterdir()):
        path.read_bytes()  # into memory: the sender's disk is not what is measured
    os.sync()  # what the one before has left to write is not this one's burden
    begin = time.perf_counter()
    senders = [subprocess.Popen([*command, str(folder)], env=environ, stderr=subprocess.PIPE) for folder in folders]
    for sender in senders:
        _, said = sender.communicate(timeout=300)
        if sender.returncode or said:
            words = said[:500].decode(errors="replace")
            raise RuntimeError(f"storescu to {to} ended with {sender.returncode}: {words}")
    return sum(len(list(folder.iterdir())) for folder in folders) / (time.perf_counter() - begin)


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """Have an empty folder, which is removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
