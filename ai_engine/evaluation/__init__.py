"""Scores and baselines: every figure about the engine comes from here."""
