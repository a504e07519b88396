"""Training of the bundled networks, reproducible on two cores.

Read ``segmenter.py`` first: composites -> batches -> losses -> checkpoints -> export. Nothing is imported here, since the
modules below need torch.
"""
