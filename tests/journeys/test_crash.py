"""SIGKILL at moments of all phases, under both launchers: nothing acknowledged is lost, results come once.

``make crash`` runs more moments and prints what came of each.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash import trial
from tests.crash.installation import BUILD
from tests.crash.moments import Launcher, moments
from tests.crash.study import Study, make_study
from tests.crash.trial import Undisturbed
from tests.support.programs import DCMTK, needs

pytestmark = [pytest.mark.slow, pytest.mark.foreign, needs(str(DCMTK / "storescu"), str(DCMTK / "storescp"))]

N_MOMENTS = 5


@dataclass(frozen=True)
class Way:
    """The study, and what its way through a node with this launcher is when nobody disturbs it."""

    launcher: Launcher
    study: Study
    usual: Undisturbed


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module", params=list(BUILD))
def way(request: pytest.FixtureRequest, study: Study, tmp_path_factory: pytest.TempPathFactory) -> Way:
    launcher: Launcher = request.param
    folder = tmp_path_factory.mktemp("undisturbed") / launcher
    return Way(launcher, study, trial.undisturbed(folder, study, BUILD[launcher]))


@pytest.mark.parametrize("number", range(N_MOMENTS))
def test_a_kill_costs_nothing_but_time(way: Way, number: int, tmp_path: Path) -> None:
    moment = list(moments(N_MOMENTS, way.launcher))[number]
    found = trial.run(moment, tmp_path / "trial", way.study, BUILD[way.launcher], way.usual)
    assert not found.problems, moment
    assert (found.acknowledged, found.lost, found.duplicates) == (len(way.study.files), 0, 0)
    assert found.results == len(way.usual.results) > 1
