"""SAM2 with weights by chance, and with weights that make it see what is bright: enough to test all around it."""

import torch

from ai_engine.sam2 import network as sam2
from ai_engine.sam2.loading import Loaded, placed


def by_chance(seed: int = 0, *, sees_objects: bool = True) -> Loaded:
    """Build a compact network of random weights; its occlusion head sees objects everywhere, or nowhere."""
    network = sam2.build("compact", seed=seed)
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0 if sees_objects else -5.0)
    return placed(network, "compact", "cpu")
