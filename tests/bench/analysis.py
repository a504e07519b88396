"""Seconds and peak memory of one analysis by stage, in a process of its own: ``python -m tests.bench.analysis FOLDER``.

The steps are those of the pipeline, from files on disk to result objects on disk.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dicom_node import engines, pipeline
from dicom_node.domain import Job
from dicom_node.objects.headers import instance_ref
from dicom_node.settings import Pipeline, Settings

_MB = 1 << 20


@dataclass(frozen=True)
class Stage:
    """One stage: wall and CPU seconds, and the peak of resident memory while it ran, in MB."""

    name: str
    seconds: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Cost:
    """What an analysis took, by stage and in all."""

    stages: tuple[Stage, ...]
    n_slices: int
    n_findings: int

    @property
    def seconds(self) -> float:
        """Wall seconds of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all stages."""
        return sum(stage.cpu_s for stage in self.stages)

    @property
    def peak_mb(self) -> float:
        """Highest resident memory of all stages."""
        return max(stage.peak_mb for stage in self.stages)


def measure(study: Path) -> Cost:
    """Run the analysis in a fresh process, so that its peak is its own."""
    command = [sys.executable, "-m", "tests.bench.analysis", str(study)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    told = json.loads(done.stdout)
    return Cost(tuple(Stage(**stage) for stage in told["stages"]), told["n_slices"], told["n_findings"])


class Watch:
    """Ends a stage and begins the next."""

    def __init__(self, first: str) -> None:
        self.stages: list[Stage] = []
        self._begin(first)

    def next(self, name: str, fraction: float = 0.0) -> None:
        """Begin another stage; of the signature that the pipeline tells its progress by."""
        if name != self._name:
            self.stages.append(self._ended())
            self._begin(name)

    def _begin(self, name: str) -> None:
        # From here on VmHWM is the peak since now (proc(5), clear_refs).
        Path("/proc/self/clear_refs").write_text("5")
        self._name, self._at, self._cpu_s = name, time.perf_counter(), _cpu_s()

    def _ended(self) -> Stage:
        return Stage(self._name, time.perf_counter() - self._at, _cpu_s() - self._cpu_s, _peak_mb())


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def run(study: Path) -> Cost:
    """Analyse a folder in this process."""
    watch = Watch("headers")
    refs = [instance_ref(path) for path in sorted(study.iterdir())]
    now, chosen = datetime.now(UTC), Pipeline(called_ae_title="EMERALD")
    job = Job(0, "EMERALD", refs[0].study_instance_uid, 1, "READY", now, now)
    engine = engines.engine_for(chosen.engine, Settings().models)
    done = pipeline.examine(refs, job, chosen, engine, watch.next)
    watch.next("results")
    context = pipeline.object_context(job, refs, done, engine, pipeline.Identity("2.25.1", "bench"))
    objects = pipeline.build(job, done, context)
    pipeline.check(objects, done)
    with tempfile.TemporaryDirectory() as folder:
        for name, result in pipeline.named(objects):
            result.dataset.save_as(Path(folder) / name, enforce_file_format=True)
    watch.next("")
    n_findings = sum(len(each.analysis.findings) for each in done.analysed)
    return Cost(tuple(stage for stage in watch.stages if stage.name != "done"), len(refs), n_findings)


if __name__ == "__main__":
    print(json.dumps(asdict(run(Path(sys.argv[1])))))
