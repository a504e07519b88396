"""Weights: found, compared, refused; and the published file format from end to end."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from ai_engine.domain import Candidate, Channel, ClinicalContext, CtVolume
from ai_engine.engine import Engine
from ai_engine.errors import WeightsCorrupt, WeightsError, WeightsMissing
from ai_engine.geometry import lps_mm_to_krc
from ai_engine.lungs import ThresholdLungs
from ai_engine.sam2 import loading, weights
from ai_engine.sam2 import network as sam2
from ai_engine.sam2.segmenter import Sam2Segmenter
from ai_engine.sam2.weights import Model, Weights
from ai_engine.scene import scene_of
from ai_engine.stages import with_sam2
from tests.support.plain_thorax import plain_thorax

TINY = weights.model("sam2.1_hiera_tiny")
BALL = (60.0, 10.0, -10.0, 12.0)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write weights by chance in the published file format."""
    path = tmp_path_factory.mktemp("weights") / TINY.file
    network = sam2.build(TINY.config)
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0)
    torch.save({"model": network.state_dict()}, path)
    return path


def site_own(path: Path, model: Model = TINY) -> Weights:
    return weights.weights_of(model, path.parent, path, weights.sha256_of(path))


@pytest.fixture(scope="module")
def chest() -> CtVolume:
    return plain_thorax([BALL])


def test_the_published_models_are_those_of_sam2_1():
    names = [model.name for model in weights.published()]
    assert names == [f"sam2.1_hiera_{size}" for size in ("tiny", "small", "base_plus", "large")]
    for model in weights.published():
        assert len(model.sha256) == 64
        assert model.url.endswith(f"/092824/{model.file}")
        assert model.licence == "Apache-2.0"


@pytest.mark.parametrize(
    ("name", "millions"),
    [("compact", 3.9), ("sam2.1_hiera_t", 38.9), ("sam2.1_hiera_s", 46.0), ("sam2.1_hiera_b+", 80.8)],
)
@pytest.mark.slow
def test_networks_have_the_published_number_of_parameters(name, millions):
    count = sum(value.numel() for value in sam2.build(name).parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.01)


def test_missing_weights_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(WeightsMissing, match=r"emerald models pull sam2.1_hiera_tiny"):
        with_sam2(weights.weights_of(TINY, tmp_path))


def test_other_weights_are_refused_with_both_hashes(tmp_path):
    (tmp_path / TINY.file).write_bytes(b"something else")
    with pytest.raises(WeightsCorrupt, match=TINY.sha256):
        with_sam2(weights.weights_of(TINY, tmp_path))


def test_the_sites_own_file_counts_by_its_own_hash(published):
    with pytest.raises(WeightsCorrupt):
        weights.weights_of(TINY, published.parent).check()
    site_own(published).check()


def test_there_is_no_model_of_another_name():
    with pytest.raises(WeightsError, match="sam3"):
        weights.model("sam3")


def test_a_file_without_the_networks_weights_is_refused(tmp_path):
    path = tmp_path / "half.safetensors"
    safetensors.torch.save_file({"no_mem_embed": torch.zeros(1, 1, 128)}, path)
    with pytest.raises(WeightsError, match="does not hold the weights of compact"):
        loading.load(path, "compact", 128, "cpu")
    path.write_bytes(b"no safetensors at all")
    with pytest.raises(WeightsError):
        loading.load(path, "compact", 128, "cpu")


class _Trap:
    def __reduce__(self):
        return (Path.touch, (Path("trapped"),))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": _Trap()}, tmp_path / "trap.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"model": _Trap()}, protocol=2))
    for name in ("trap.pt", "plain.pt"):
        with pytest.raises(WeightsError):
            loading.load(tmp_path / name, TINY.config, 512, "cpu")
    assert not (tmp_path / "trapped").exists()


def test_weights_in_16_bits_come_back_in_32(tmp_path):
    network = sam2.build("compact", seed=3)
    half = {name: value.half() for name, value in network.state_dict().items()}
    safetensors.torch.save_file(half, tmp_path / "w.safetensors")
    loaded = loading.load(tmp_path / "w.safetensors", "compact", 128, "cpu")
    for name, value in loaded.network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.allclose(value, network.state_dict()[name], atol=1e-3)


def test_cuda_without_cuda_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(WeightsError, match="no CUDA"):
        loading.placed(sam2.build("compact"), "compact", "cuda")


def test_published_networks_see_a_grey_picture_of_the_lung_window():
    hu = torch.tensor([-1500.0, -750.0, 0.0, 500.0]).reshape(1, 2, 2).numpy()
    seen = loading.published_look(hu)
    assert seen.shape == (1, 3, 2, 2)
    assert seen[0, 0].ravel() == pytest.approx([-0.485 / 0.229, (0.5 - 0.485) / 0.229, 0.515 / 0.229, 0.515 / 0.229])


@pytest.mark.slow
def test_a_published_file_runs_from_end_to_end_in_frames_of_128(published, chest):
    small = replace(TINY, image_size=128)
    segmenter = with_sam2(site_own(published, small), "auto").segmenter
    scene = scene_of(chest, ThresholdLungs().find(chest))
    k, r, c = (float(i) for i in lps_mm_to_krc(chest.affine, BALL[:3]))
    assert isinstance(segmenter, Sam2Segmenter)
    segment = segmenter.segment(scene, Candidate((k, r, c), 12.0, 1.0, Channel.SOLID))
    assert segment.mask.any()
    assert 0 <= segment.confidence <= 1


@pytest.mark.slow
def test_a_published_file_analyses_a_thorax(published):
    volume = plain_thorax([BALL], (20, 240, 240), (5.0, 1.4))
    engine = Engine(tier=with_sam2(site_own(published, replace(TINY, image_size=256)), "auto"))
    analysis = engine.analyse(volume, ClinicalContext())
    assert analysis.algorithm.family == "official"
    assert "sam2.1_hiera_tiny" in analysis.algorithm.stages["segmentation"]
    assert all(finding.segment.confidence is not None for finding in analysis.findings)
