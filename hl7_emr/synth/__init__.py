"""Made-up records for demos and tests: seeded, marked as synthetic, and told nothing of what a score is to predict.

``generator.py`` draws, ``assumptions.py`` says from what, ``forms.py`` writes, ``guard.py`` keeps them from real
patients.
"""
