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
from dicom_node.cli import main
from dicom_node.errors import ResultInvalid, SettingsError
from dicom_node.findings import findings_as_json
from dicom_node.objects import validate
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
    for family in ("official", "weight-free"):
        with pytest.raises(
            UnknownWords, match=f"the tier '{family}' cannot outline 'whole nodule': .* the bundled tier alone"
        ):
            replace(weight_free(), family=family).understood("whole nodule")


def test_the_name_of_a_part_is_no_longer_than_what_is_read() -> None:
    with pytest.raises(UnknownWords, match="more than 24 words"):
        naming().understood(f"{'solid ' * 24}component of nodules")


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert 'outlined in the segmentation as "Nodule 1, solid component". Measurements' in said
    assert said.endswith("category and risk of this report are those of the whole nodule.")
    assert [seg.PixelData for seg in kinds["seg"]] == [job.of_kind("seg")[0].PixelData] * 2


def test_a_part_is_a_segment_beside_its_nodule_and_keeps_its_identity() -> None:
    series = synthetic_ct.series()
    masks = [ball(series.volume, (8, 20, 12), 9.0), ball(series.volume, (8, 20, 32), 9.0)]
    job = case(series, [], masks, context(algorithm=SCORED), names_core=True)
    nodules, parts = job.of_kind("seg")
    assert nodules.SeriesInstanceUID == parts.SeriesInstanceUID
    assert [each.SegmentLabel for each in parts.SegmentSequence] == [
        "Nodule 1, solid component",
        "Nodule 2, solid component",
    ]
    assert not {each.TrackingUID for each in parts.SegmentSequence} & {e.TrackingUID for e in nodules.SegmentSequence}
    validate.check(job.datasets, job.template, [series])
    earlier = report.tracked_nodules(job.analysed, job.context)
    later = case(series, [], masks, context(algorithm=SCORED, revision=2, earlier=earlier), names_core=True)
    assert [each.TrackingUID for each in later.of_kind("seg")[1].SegmentSequence] == [
        each.TrackingUID for each in parts.SegmentSequence
    ]
    parts.PixelData = parts.PixelData[::-1]
    with pytest.raises(ResultInvalid, match="a part lies outside every nodule"):
        validate.check(job.datasets, job.template, [series])


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_whole_nodule_and_what_is_not_seen_are_no_segments_of_their_own(*, is_whole: bool) -> None:
    series = synthetic_ct.series()
    job = case(series, [], [ball(series.volume, (8, 20, 12), 9.0)], context(algorithm=SCORED))
    assert job.analysis is not None
    (finding,) = job.analysis.findings
    seen = NamedPart("all components", finding.segment, 123.4, 5.6, is_whole=True)
    named = seen if is_whole else NamedPart("solid component", None)
    told = replace(job.analysed[0], analysis=replace(job.analysis, findings=(replace(finding, part=named),)))
    known = RecordUsed(report.record_from_header(job.template))
    results = report.results(job.job, job.template, [told], job.verdicts, known, job.context)
    assert [each.kind for each in results] == ["seg", "key_images", "sr"]
    (said,) = [text for text in texts(results[-1].dataset) if "as asked for" in text]
    assert ("123 mm3, the outline of the nodule. Measurements" if is_whole else "is not seen.") in said


def fake_adapter(folder: Path, sha256: str) -> Weights:
    path = folder / "adapter.safetensors"
    return Weights(Model("adapter", "adapter", 0, path.name, 0, sha256, "Apache-2.0"), path, sha256)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return encoder_file(tmp_path, threshold=0.4)


@pytest.fixture
def adapter(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this version come with an adapter for that encoder and the SAM2 in the package."""
    vectors = [torch.eye(128)[number][None] for number in range(len(Part))]
    own = tmp_path / "adapter.safetensors"
    save_file(adapters.build(vectors, channels=128, seed=1).state_dict(), own)
    told = {"text": sha256_of(encoder), "segmenter": sam2_weights.bundled().sha256}
    own.with_suffix(".json").write_text(json.dumps(told))
    weights = fake_adapter(tmp_path, sha256_of(own))
    monkeypatch.setattr(sam2_weights, "adapter", lambda: weights)
    return own


def settings_with(encoder: Path, **more: object) -> EngineSettings:
    return EngineSettings(encoder_weights=encoder, encoder_sha256=sha256_of(encoder), prompt=CORE, **more)


def test_an_adapter_for_another_encoder_serves_nobody(adapter: Path, encoder: Path, tmp_path: Path) -> None:
    told = json.loads(adapter.with_suffix(".json").read_text())
    adapter.with_suffix(".json").write_text(json.dumps(told | {"text": "another"}))
    with pytest.raises(SettingsError, match="the tier 'bundled' cannot outline"):
        engines.engine_for.__wrapped__(settings_with(encoder), tmp_path)


def test_where_region_growing_stands_in_for_sam2_no_part_is_outlined(
    adapter: Path, encoder: Path, tmp_path: Path
) -> None:
    elsewhere = settings_with(encoder, allow_fallback=True, weights=tmp_path / "none.safetensors")
    with pytest.raises(SettingsError, match="cannot outline 'solid component'"):
        engines.engine_for.__wrapped__(elsewhere, tmp_path)


def test_list_and_check_name_the_adapter(
    adapter: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    engine = f'tier = "bundled"\nencoder_weights = "{encoder}"\nencoder_sha256 = "{sha256_of(encoder)}"\n'
    pipeline = f'[[pipelines]]\ncalled_ae_title = "EMERALD"\n[pipelines.engine]\n{engine}prompt = "{CORE}"\n'
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n[dicom]\nport = 0\n{pipeline}')
    options = ["--config", str(config)]
    assert main(["models", "list", *options]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("adapter ")]
    assert line.endswith(", here")
    assert main(["check", *options]) == 0
    assert f"adapter (weights {sha256_of(adapter)[:12]})" in capsys.readouterr().out
    assert main(["models", "verify", *options]) == 0
    assert "ok       adapter" in capsys.readouterr().out
    adapter.write_bytes(b"")
    assert main(["models", "verify", *options]) == 1
    assert main(["models", "pull", "adapter", *options]) == 1
    assert "come with the package" in capsys.readouterr().err


@pytest.mark.slow  # torch
def test_what_an_adapter_outlines_lies_within_the_nodule(adapter: Path, encoder: Path, tmp_path: Path) -> None:
    tier = engines.engine_for.__wrapped__(settings_with(encoder), tmp_path)._tier
    volume = plain_thorax([(60.0, 10.0, -10.0, 14.0)])
    (plain,) = Engine().analyse(volume, NOBODY).findings
    assert tier.parts is not None
    turn = turn_of(volume)
    whole = plain.segment  # the thorax lies as the engine has it
    assert turn.volume(volume).hu.shape == volume.hu.shape
    found = tier.parts.outline(volume, whole, "solid component")
    if found is not None:
        assert not (found.on(volume.hu.shape) & ~whole.on(volume.hu.shape)).any()
