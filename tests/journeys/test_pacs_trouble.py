"""Seven destinations in trouble at the same time, one that is well: results come everywhere in the end, once.

One study and one node, under either launcher, started anew in the midst of it. What each destination saw, and what the
ledger said of it, is written down on the way; the tests read it there.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dicom_node.jobs.records import Delivery
from dicom_node.jobs.store import Store
from tests.crash.installation import BUILD
from tests.crash.moments import Launcher
from tests.crash.study import make_study
from tests.support.line import Line
from tests.support.moody import MoodyPacs
from tests.support.programs import DCMTK, needs
from tests.support.recorder import RecordingPacs, sendings
from tests.support.running import storescu, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.foreign, needs(str(DCMTK / "storescu"), str(DCMTK / "storescp"))]

# What the ledger says of a destination in trouble.
WORDS = {
    "away": "connection refused",
    "mute": "does not answer an association request",
    "breaks off": "closed the connection|connection lost",
    "rejects": "reject",
    "full": "0xA700",
    "choosy": "0xC000",
}
TROUBLES = (*WORDS, "slow")
_PATIENCE_S = 120.0
QUIET_S = PROBE_S = 1.0
Contents = Mapping[str, Counter[bytes]]


@dataclass
class Seen:
    """What was seen on the way.

    Attributes
    ----------
    beside : dict
        State of each delivery at the moment when the one to the destination that is well had ended.
    errors : dict
        Last error of each delivery while its destination was in trouble.
    after_restart : dict
        State of each delivery when the node had been started anew, before any destination recovered.
    probes : int
        Associations that the rejecting destination was asked for after the restart, before it recovered.
    before_retry : dict
        What the choosy destination had been sent, by modality, before ``emerald retry``.
    asked : dict
        The same at the end.
    taken : dict
        What each destination has taken.
    job_state : list of str
        Before the retry and at the end.
    """

    beside: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    after_restart: dict[str, str] = field(default_factory=dict)
    probes: int = 0
    before_retry: Mapping[str, int] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)
    taken: dict[str, Contents] = field(default_factory=dict)
    job_state: list[str] = field(default_factory=list)


class Stage:
    """The node and its eight destinations."""

    def __init__(self, folder: Path, launcher: Launcher, stack: ExitStack) -> None:
        self._recorders: dict[str, RecordingPacs] = {}
        self.lines: dict[str, Line] = {}
        for trouble in ("away", "mute", "breaks off", "slow", "well"):
            place = folder / trouble
            place.mkdir()
            self._recorders[trouble] = stack.enter_context(RecordingPacs(place))
            self.lines[trouble] = stack.enter_context(Line(self._recorders[trouble].remote))
        self.moody = {trouble: stack.enter_context(MoodyPacs()) for trouble in ("rejects", "full", "choosy")}
        self.names = [*self.lines, *self.moody]
        remotes = [each.remote for each in (*self.lines.values(), *self.moody.values())]
        self.installation = stack.enter_context(BUILD[launcher](folder / "node", remotes, QUIET_S, PROBE_S))
        self.node = self.installation.node
        self.store: Store = self.node.store
        stack.callback(self.store.close)

    def deliveries(self) -> dict[str, Delivery]:
        """Return the delivery to each destination, once there are any."""
        found = self.store.deliveries(1) if self.store.jobs(1) else []
        return {self.names[int(each.target.removeprefix("pacs")) - 1]: each for each in found}

    def states(self) -> dict[str, str]:
        """Return the state of each delivery."""
        return {name: delivery.state for name, delivery in self.deliveries().items()}

    def until(self, met: Callable[[dict[str, Delivery]], bool], what: str) -> None:
        """Wait until something holds of the deliveries."""
        wait_until(lambda: (found := self.deliveries()) and met(found), _PATIENCE_S, f"{what}: {self.states()}")

    def taken(self) -> dict[str, Contents]:
        """Return what each destination has taken."""
        recorded = {name: sendings(recorder.recorded) for name, recorder in self._recorders.items()}
        return recorded | {name: moody.taken for name, moody in self.moody.items()}


def begin_trouble(stage: Stage) -> None:
    stage.lines["away"].close()
    stage.lines["mute"].hold("there", 0)
    stage.lines["breaks off"].hold("there", 20_000)
    stage.lines["slow"].slow_down(30_000)
    stage.moody["rejects"].rejects = True
    stage.moody["full"].status_of = lambda modality: 0xA700
    stage.moody["choosy"].status_of = lambda modality: 0xC000 if modality == "SR" else 0x0000


def end_trouble(stage: Stage) -> None:
    stage.lines["away"].open()
    stage.lines["mute"].cut()
    for moody in stage.moody.values():
        moody.rejects, moody.status_of = False, lambda modality: 0x0000


@pytest.fixture(scope="module", params=list(BUILD))
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("trouble")
    study, seen = make_study(folder / "study"), Seen()
    with ExitStack() as stack:
        stage = Stage(folder, request.param, stack)
        begin_trouble(stage)
        storescu(study.folder, stage.node.remote, "-xe")
        _in_trouble(stage, seen)
        _started_anew(stage, seen)
        end_trouble(stage)
        _recovered(stage, seen)
        seen.taken = stage.taken()
    return seen


def _in_trouble(stage: Stage, seen: Seen) -> None:
    stage.until(lambda to: to["well"].state == "DELIVERED", "the one that is well is served")
    seen.beside = stage.states()
    wait_until(stage.lines["breaks off"].held.is_set, _PATIENCE_S, "an object is on its way")
    stage.lines["breaks off"].cut()
    stage.until(lambda to: all(to[name].last_error for name in WORDS), "each trouble is noted")
    seen.errors = {name: delivery.last_error or "" for name, delivery in stage.deliveries().items()}
    stage.until(lambda to: to["slow"].state == "DELIVERED", "the slow one is served")


def _started_anew(stage: Stage, seen: Seen) -> None:
    stage.installation.stop()
    stage.installation.restore()
    seen.after_restart = stage.states()
    rejecting = stage.moody["rejects"]
    before = rejecting.n_connections
    wait_until(lambda: rejecting.n_connections >= before + 2, _PATIENCE_S, "the rejecting one is probed twice")
    seen.probes = rejecting.n_connections - before


def _recovered(stage: Stage, seen: Seen) -> None:
    stage.until(lambda to: [n for n in to if to[n].state != "DELIVERED"] == ["choosy"], "all but one are served")
    seen.before_retry = dict(stage.moody["choosy"].asked)
    seen.job_state.append(stage.store.job(1).state)
    command = [sys.executable, "-m", "dicom_node", "retry", "1", "--config", str(stage.node.config)]
    subprocess.run(command, check=True, timeout=60)
    stage.node.wait_done()
    seen.asked = dict(stage.moody["choosy"].asked)
    seen.job_state.append(stage.store.job(1).state)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_one_in_trouble_holds_up_no_other(seen: Seen, trouble: str) -> None:
    assert seen.beside["well"] == "DELIVERED"
    assert seen.beside[trouble] == "PENDING"


@pytest.mark.parametrize("trouble", WORDS)
def test_the_ledger_says_what_the_trouble_is(seen: Seen, trouble: str) -> None:
    assert re.search(WORDS[trouble], seen.errors[trouble])


@pytest.mark.parametrize("trouble", ["away", "mute", "rejects", "full", "choosy"])
def test_the_results_were_still_waiting_after_the_restart(seen: Seen, trouble: str) -> None:
    assert seen.after_restart[trouble] == "PENDING"


@pytest.mark.parametrize("trouble", TROUBLES)
def test_in_the_end_each_has_the_results_once(seen: Seen, trouble: str) -> None:
    wanted = seen.taken["well"]
    assert len(wanted) == 2
    assert {uid: len(contents) for uid, contents in seen.taken[trouble].items()} == dict.fromkeys(wanted, 1)
    assert seen.taken[trouble] == wanted


def test_a_refused_object_waits_for_retry_and_is_sent_alone(seen: Seen) -> None:
    assert seen.before_retry == {"SEG": 1, "SR": 1}
    assert seen.asked == {"SEG": 1, "SR": 2}
    assert seen.job_state == ["ANALYSED", "DONE"]


def test_a_destination_that_rejects_for_good_is_probed(seen: Seen) -> None:
    assert seen.probes >= 2
