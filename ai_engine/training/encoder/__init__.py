"""Training of the image-text encoder: composites and hard negatives -> places -> batches -> losses -> loop.

Read ``loop.py`` first. Nothing is imported here, since the modules need torch.
"""
