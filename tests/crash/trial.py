"""One crash: a running node between a sender and two PACSs, killed at a moment, started again, judged."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.cli.demo_pacs import Pacs, best_pacs
from dicom_node.domain import RemoteAE
from dicom_node.jobs.records import JobStatus
from tests.crash import judge
from tests.crash.installation import Embedded
from tests.crash.moments import Moment
from tests.crash.study import Sender, Study
from tests.support.line import Line
from tests.support.recorder import RecordingPacs, sendings
from tests.support.running import cpu_s, is_alive, wait_until

Build = Callable[[Path, Sequence[RemoteAE], float], Embedded]
INSTALLATION_UID = "2.25.308150402313428197164207342331512834001"
# Longer than a sender needs to come back after a crash, on a busy machine too.
QUIET_S = 3.0
_PATIENCE_S = 240.0
_CHILDREN_END_S = 5.0


@dataclass(frozen=True)
class Undisturbed:
    """What happens when nobody kills anything: the measure of all trials.

    Attributes
    ----------
    analysis_cpu_s : float
        How much processor time the analysis took: the same on a busy machine as on an idle one.
    passed : list of dict
        Bytes there and back on the lines to the node, to the first and to the second PACS.
    """

    results: judge.Results
    analysis_cpu_s: float
    passed: list[dict[str, int]]


@dataclass
class Trial:
    """What came of one moment; ``problems`` is empty where all promises were kept."""

    moment: Moment
    state: str = ""
    acknowledged: int = 0
    lost: int = 0
    results: int = 0
    sent_again: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Scene:
    """A node, a sender in front of it, and two PACSs behind it, each at the end of a line.

    Parameters
    ----------
    folder : Path
        New; holds the states of all of them.
    build : callable
        Makes the installation from its ``data_dir`` and the destinations.
    """

    def __init__(self, folder: Path, study: Study, build: Build) -> None:
        folder.mkdir(parents=True)
        (folder / "recorder").mkdir()
        self._folder = folder
        self._study = study
        self._build = build

    def __enter__(self) -> "Scene":
        with ExitStack() as stack:
            self._begin(stack)
            self._stack = stack.pop_all()
        return self

    def _begin(self, stack: ExitStack) -> None:
        enter = stack.enter_context
        self.pacs: Pacs = enter(best_pacs(self._folder / "pacs"))
        self.recorder = enter(RecordingPacs(self._folder / "recorder"))
        to_pacs = [enter(Line(self.pacs.remote)), enter(Line(self.recorder.remote))]
        data_dir = self._folder / "node"
        data_dir.mkdir()
        (data_dir / "installation").write_text(INSTALLATION_UID + "\n")
        self.installation = enter(self._build(data_dir, [line.remote for line in to_pacs], QUIET_S))
        self.node = self.installation.node
        to_node = enter(Line(self.node.remote))
        self.lines = [to_node, *to_pacs]
        self.sender = Sender(self._study, to_node.remote, self._folder / "storescu.log")
        stack.callback(self.sender.stop)

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def until_done(self) -> list[JobStatus]:
        """Wait until the sender is content and no work is left; nothing can come after that by itself."""
        wait_until(lambda: not self.sender.is_alive(), _PATIENCE_S, "the sender is content")
        return self.node.wait_done(timeout_s=_PATIENCE_S)

    def fetched(self) -> tuple[judge.Results, judge.Results]:
        """Return the results that the two PACSs hold."""
        paths = self.pacs.fetch(self._folder / "fetched"), sorted(self.recorder.recorded.iterdir())
        return judge.results(paths[0]), judge.results(paths[1])


def undisturbed(folder: Path, study: Study, build: Build) -> Undisturbed:
    """Run the way of the study once, without a crash."""
    with Scene(folder, study, build) as scene:
        scene.sender.start()
        pid = _analysing(scene)
        began = cpu_s(pid)
        wait_until(lambda: scene.installation.jobs()[0].analysed_at, _PATIENCE_S, "the analysis has ended", 0.02)
        used = cpu_s(pid) - began
        scene.until_done()
        return Undisturbed(scene.fetched()[0], used, [dict(line.passed) for line in scene.lines])


def run(moment: Moment, folder: Path, study: Study, build: Build, usual: Undisturbed) -> Trial:
    """Kill at the moment, start again, and judge what came of it."""
    trial = Trial(moment)
    try:
        with Scene(folder, study, build) as scene:
            for _ in range(moment.times):
                _kill(scene, moment, usual, trial)
            began = time.monotonic()
            jobs = scene.until_done()
            trial.seconds = time.monotonic() - began
            trial.problems += [f"{len(jobs)} revisions instead of one"] if len(jobs) != 1 else []
            _judge(scene, study, usual, trial)
    except AssertionError as error:
        trial.problems.append(str(error))
    return trial


def _kill(scene: Scene, moment: Moment, usual: Undisturbed, trial: Trial) -> None:
    ending: list[int] = []
    if moment.syscall:
        ending = scene.installation.kill_at(moment.victim, moment.syscall, moment.number)
    elif moment.phase in ("reception", "delivery"):
        which = 0 if moment.phase == "reception" else 1 + moment.pacs
        scene.lines[which].hold(moment.way, max(1, int(moment.share * usual.passed[which][moment.way])))
    if scene.sender.ident is None:
        scene.sender.start()
    if moment.syscall:
        wait_until(lambda: not is_alive(ending[0]), _PATIENCE_S, f"{moment.syscall} {moment.number}", 0.005)
    else:
        _wait_for(scene, moment, usual)
    trial.state = _state(scene)
    ending = ending or scene.installation.kill(moment.victim)
    for line in scene.lines:
        line.cut()
    began = time.monotonic()
    while (alive := [pid for pid in ending if is_alive(pid)]) and time.monotonic() - began < _CHILDREN_END_S:
        time.sleep(0.05)
    trial.problems += [f"{len(alive)} processes left over"] if alive else []
    scene.installation.restore()


def _wait_for(scene: Scene, moment: Moment, usual: Undisturbed) -> None:
    if moment.phase == "reception":
        wait_until(scene.lines[0].held.is_set, _PATIENCE_S, "the line to the node is held", 0.005)
    elif moment.phase == "delivery":
        wait_until(scene.lines[1 + moment.pacs].held.is_set, _PATIENCE_S, "the line to the PACS is held", 0.005)
    elif moment.phase == "settling":
        wait_until(lambda: not scene.sender.is_alive(), _PATIENCE_S, "the sender is content", 0.005)
        time.sleep(moment.share * QUIET_S)
    else:
        pid = _analysing(scene)
        until = cpu_s(pid) + moment.share * usual.analysis_cpu_s
        wait_until(
            lambda: cpu_s(pid) >= until or not scene.installation.at_work(),
            _PATIENCE_S,
            "the analysis has come so far",
            0.005,
        )


def _analysing(scene: Scene) -> int:
    """Return the process that analyses, once one does."""
    pid: int = wait_until(scene.installation.at_work, _PATIENCE_S, "the analysis has begun", 0.01)
    return pid


def _state(scene: Scene) -> str:
    jobs = scene.installation.jobs()
    return " ".join(status.job.state for status in jobs) or "nothing yet"


def _judge(scene: Scene, study: Study, usual: Undisturbed, trial: Trial) -> None:
    acknowledged = scene.sender.acknowledged()
    trial.acknowledged = len(acknowledged)
    trial.lost = len(judge.lost(acknowledged, study, scene.node.data_dir))
    trial.problems += [f"{trial.lost} acknowledged images lost"] if trial.lost else []
    for name, found in zip((scene.pacs.name, scene.recorder.name), scene.fetched(), strict=True):
        trial.problems += [f"{name}: {what}" for what in judge.differences(usual.results, found)]
        trial.results = len(found)
        trial.duplicates += len(found.keys() - usual.results.keys())
    sent = sendings(scene.recorder.recorded)
    trial.sent_again = sum(contents.total() - 1 for contents in sent.values())
    differing = [uid for uid, contents in sent.items() if len(contents) > 1]
    trial.duplicates += len(differing)
    trial.problems += [f"...{uid[-8:]} was sent with more than one content" for uid in differing]
