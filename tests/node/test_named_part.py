"""A prompt that names a part of a nodule: refused where nothing can outline it, else told beside the whole nodule."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ai_engine.clip.parts import Part
from ai_engine.domain import ClinicalContext, CtVolume, NamedPart, Segment
from ai_engine.engine import Engine
from ai_engine.errors import UnknownWords
from ai_engine.geometry import turn_of
from ai_engine.sam2 import adapter as adapters
from ai_engine.sam2 import weights as sam2_weights
from ai_engine.sam2.weights import Model, Weights, sha256_of
from ai_engine.stages import Tier, weight_free
from dicom_node import engines, report
from dicom_node.errors import SettingsError
from dicom_node.findings import findings_as_json
from dicom_node.record_used import RecordUsed
from dicom_node.settings import EngineSettings
from tests.support import synthetic_ct
from tests.support.encoder import encoder_file
from tests.support.findings import SCORED, ball
from tests.support.plain_thorax import plain_thorax, turned
from tests.support.reports import texts
from tests.support.results import case, context

CORE = "solid component of nodules"
NOBODY = ClinicalContext()


class UpperHalf:
    """Outlines the half of a nodule that lies nearer to the head, whatever it is called."""

    weights = "0123456789abcdef"

    def outline(self, volume: CtVolume, whole: Segment, name: str) -> Segment | None:
        k, (first, r, c) = len(whole.mask) // 2, whole.origin_krc
        return None if name == "dense core" else Segment(whole.mask[k:], (first + k, r, c))


def naming() -> Tier:
    return replace(weight_free(), parts=UpperHalf())  # type: ignore[arg-type]


@pytest.mark.parametrize("tier", ["weight-free", "bundled"])
def test_a_tier_without_an_adapter_refuses_it_at_start_by_name(tier: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sam2_weights, "adapter", lambda: fake_adapter(tmp_path / "none", sha256=""))
    with pytest.raises(SettingsError, match=f"prompt: the tier '{tier}' cannot outline 'solid component'"):
        engines.engine_for.__wrapped__(EngineSettings(tier=tier, prompt=CORE), tmp_path)
    engines.engine_for.__wrapped__(EngineSettings(tier=tier), tmp_path)
    with pytest.raises(UnknownWords, match="cannot outline 'whole nodule'"):
        weight_free().understood("whole nodule")


def test_the_part_is_told_beside_a_nodule_whose_measurements_stay(tmp_path: Path) -> None:
    volume = turned(plain_thorax([(60.0, 10.0, -10.0, 12.0)]), (True, False, True))
    (plain,) = Engine().analyse(volume, NOBODY).findings
    (found,) = Engine(tier=naming(), asked=CORE).analyse(volume, NOBODY).findings
    assert plain.part is None
    assert found.part is not None
    assert found.part.segment is not None
    assert found.measurements == plain.measurements
    assert np.array_equal(found.segment.mask, plain.segment.mask)
    assert found.lung_rads == plain.lung_rads
    part, whole = (each.on(volume.hu.shape) for each in (found.part.segment, found.segment))
    assert not (part & ~whole).any()
    on_head_side = turn_of(volume).array(part)
    assert (
        np.flatnonzero(on_head_side.any(axis=(1, 2))).min()
        > np.flatnonzero(turn_of(volume).array(whole).any(axis=(1, 2))).min()
    )
    assert found.part.volume_mm3 == pytest.approx(part.sum() * volume.voxel_mm3)
    assert found.part.name == "solid component"


def test_a_prompt_without_a_part_is_the_same_algorithm_with_and_without_an_adapter() -> None:
    plain, able = (Engine(tier=tier, asked="nodules over 6 mm").algorithm for tier in (weight_free(), naming()))
    assert plain == able
    asked = Engine(tier=naming(), asked=CORE).algorithm
    assert asked.digest != plain.digest
    assert asked.stages["parts"] == "solid component, by the adapter for SAM2 (0123456789ab)"


def test_what_is_not_there_is_said_not_to_be() -> None:
    volume = plain_thorax([(60.0, 10.0, -10.0, 12.0)])
    (found,) = Engine(tier=naming(), asked="dense core of lesions").analyse(volume, NOBODY).findings
    assert found.part is not None
    assert (found.part.name, found.part.segment, found.part.volume_mm3) == ("dense core", None, 0.0)


def test_report_and_json_say_what_was_outlined_and_what_the_numbers_are_of() -> None:
    series = synthetic_ct.series()
    job = case(series, [], [ball(series.volume, (8, 20, 12), 9.0)], context(algorithm=SCORED))
    assert job.analysis is not None
    (finding,) = job.analysis.findings
    part = NamedPart("solid component", finding.segment, 123.4, 5.6)
    told = replace(job.analysis, findings=(replace(finding, part=part),))
    analysed = [replace(job.analysed[0], analysis=told)]
    (found,) = findings_as_json(analysed, job.context)["findings"]
    assert found["part"] == {
        "name": "solid component",
        "is_seen": True,
        "mean_diameter_mm": 5.6,
        "volume_mm3": 123.4,
    }
    assert "part" not in findings_as_json(job.analysed, job.context)["findings"][0]
    known = RecordUsed(report.record_from_header(job.template))
    results = report.results(job.job, job.template, analysed, job.verdicts, known, job.context)
    kinds = {kind: [each.dataset for each in results if each.kind == kind] for kind in ("sr", "seg")}
    (said,) = [text for text in texts(kinds["sr"][0]) if "as asked for" in text]
    assert "mean diameter 5.6 mm, volume 123 mm3" in said
    assert said.endswith("category and risk of this report are those of the whole nodule.")
    assert kinds["seg"][0].PixelData == job.of_kind("seg")[0].PixelData


def fake_adapter(folder: Path, sha256: str) -> Weights:
    path = folder / "adapter.safetensors"
    return Weights(Model("adapter", "adapter", 0, path.name, 0, sha256, "Apache-2.0"), path, sha256)


@pytest.mark.slow  # torch
@pytest.mark.parametrize("is_its_own", [True, False])
def test_an_adapter_serves_the_networks_that_it_was_trained_with_alone(is_its_own, tmp_path, monkeypatch) -> None:
    encoder = encoder_file(tmp_path, threshold=0.4)
    segmenter = sam2_weights.weights_of(sam2_weights.bundled(), tmp_path)
    vectors = [torch.eye(128)[number][None] for number in range(len(Part))]
    own = adapters.build(vectors, channels=128, seed=1)
    save_file(own.state_dict(), tmp_path / "adapter.safetensors")
    told = {"text": sha256_of(encoder) if is_its_own else "another", "segmenter": segmenter.sha256}
    (tmp_path / "adapter.json").write_text(json.dumps(told))
    adapter = fake_adapter(tmp_path, sha256_of(tmp_path / "adapter.safetensors"))
    monkeypatch.setattr(sam2_weights, "adapter", lambda: adapter)
    settings = EngineSettings(encoder_weights=encoder, encoder_sha256=sha256_of(encoder), prompt=CORE)
    if not is_its_own:
        with pytest.raises(SettingsError, match="the tier 'bundled' cannot outline"):
            engines.engine_for.__wrapped__(settings, tmp_path)
        return
    tier = engines.engine_for.__wrapped__(settings, tmp_path)._tier
    volume = plain_thorax([(60.0, 10.0, -10.0, 14.0)])
    (plain,) = Engine().analyse(volume, NOBODY).findings
    assert tier.parts is not None
    turn = turn_of(volume)
    whole = plain.segment  # the thorax lies as the engine has it
    assert turn.volume(volume).hu.shape == volume.hu.shape
    found = tier.parts.outline(volume, whole, "solid component")
    if found is not None:
        assert not (found.on(volume.hu.shape) & ~whole.on(volume.hu.shape)).any()
