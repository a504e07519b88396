"""The engine of a pipeline, as its settings want it: which detector, which segmenter, whose weights, what is asked."""

import logging
from functools import cache
from pathlib import Path

from ai_engine.clip import weights as encoder_weights
from ai_engine.engine import Engine
from ai_engine.errors import UnknownWords, WeightsError, WeightsMissing
from ai_engine.sam2 import weights as sam2_weights
from ai_engine.sam2.device import check_device
from ai_engine.sam2.weights import Weights
from ai_engine.stages import (
    Tier,
    weight_free,
    with_adapter,
    with_encoder,
    with_published,
    with_sam2,
    without_encoder,
    without_weights_of,
)
from dicom_node.errors import SettingsError
from dicom_node.settings import EngineSettings, Settings

_LOG = logging.getLogger(__name__)
# The setting that holds what is asked for.
PROMPT = "pipelines.engine.prompt"


@cache
def engine_for(settings: EngineSettings, models_dir: Path) -> Engine:
    """Return the engine of these settings, built once in a process.

    Its weights are checked here, and read into memory by its first analysis: torch is no matter for a parent process.

    Raises
    ------
    SettingsError
        The weights are missing, or not what they should be. If the settings allow it, missing ones are replaced by
        the tier without weights, which says so. Or the prompt is not understood.
    """
    tier = _naming_parts(_detecting(_outlining(settings, models_dir), settings), settings, models_dir)
    try:
        if settings.published_encoder is not None:
            tier = with_published(tier, settings.published_encoder)
        return Engine(settings.detection_threshold, tier, asked=settings.prompt)
    except WeightsError as error:
        raise SettingsError("pipelines.engine.published_encoder", str(error)) from error
    except UnknownWords as error:
        raise SettingsError(PROMPT, str(error)) from error


def _detecting(tier: Tier, settings: EngineSettings) -> Tier:
    """Put the encoder into a tier if settings want it, or leave it to settings and there is one."""
    if not wants_encoder(settings):
        return tier
    try:
        return with_encoder(tier, encoder_weights_of(settings))
    except WeightsMissing as error:
        if not settings.allow_fallback:
            raise SettingsError("pipelines.engine.detector", str(error)) from error
        _LOG.warning("%s. The detector without weights runs instead, as allow_fallback says", error)
        return without_encoder(tier)
    except WeightsError as error:
        raise SettingsError("pipelines.engine.detector", str(error)) from error


def _naming_parts(tier: Tier, settings: EngineSettings, models_dir: Path) -> Tier:
    """Put the adapter for parts into the bundled tier, where one comes with this version."""
    if tier.scoring is None or not wants_adapter(settings):
        return tier
    own = sam2_weights.adapter()
    try:
        return with_adapter(tier, own, encoder_weights_of(settings), weights_of(settings, models_dir), settings.device)
    except WeightsError as error:
        raise SettingsError("pipelines.engine.tier", str(error)) from error


def wants_adapter(settings: EngineSettings) -> bool:
    """Tell whether an engine of these settings looks for the adapter for parts of nodules."""
    return settings.tier == "bundled" and wants_encoder(settings) and bool(sam2_weights.adapter().sha256)


def wants_encoder(settings: EngineSettings) -> bool:
    """Tell whether an engine of these settings runs the encoder."""
    if settings.detector != "auto":
        return settings.detector == "encoder"
    own = settings.encoder_weights is not None
    return settings.tier != "weight-free" and (own or encoder_weights.are_bundled())


def encoder_weights_of(settings: EngineSettings) -> Weights:
    """Say which weights the encoder of an engine wants and where."""
    return encoder_weights.weights_of(settings.encoder_weights, settings.encoder_sha256)


def _outlining(settings: EngineSettings, models_dir: Path) -> Tier:
    if settings.tier == "weight-free":
        return weight_free()
    try:
        check_device(settings.device)
        return with_sam2(weights_of(settings, models_dir), settings.device)
    except WeightsMissing as error:
        if not settings.allow_fallback:
            raise SettingsError("pipelines.engine", str(error)) from error
        _LOG.warning("%s. The tier without weights runs instead, as allow_fallback says", error)
        return without_weights_of(settings.tier)
    except WeightsError as error:
        raise SettingsError("pipelines.engine", str(error)) from error


def check_engines(settings: Settings) -> None:
    """Make sure, before the first study comes, that every pipeline has its weights; raises ``SettingsError``."""
    for pipeline_settings in settings.pipelines:
        engine_for(pipeline_settings.engine, settings.models)


def weights_of(settings: EngineSettings, models_dir: Path) -> Weights:
    """Say which weights an engine wants and where; raises ``WeightsError`` for a model that there is not."""
    model = sam2_weights.bundled() if settings.tier == "bundled" else sam2_weights.model(settings.model)
    return sam2_weights.weights_of(model, models_dir, settings.weights, settings.sha256)
