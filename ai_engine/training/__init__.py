"""Training of the bundled networks, reproducible on two cores.

Read ``loop.py`` first: composites -> batches -> losses -> checkpoints -> export. Nothing is imported here, since the
modules need torch.
"""
