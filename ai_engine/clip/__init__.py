"""One image-text encoder for places in lung CT: what a radiologist asks for, in words, against what is seen.

``facts`` (what is true of a place) -> ``sentences`` (said in the words of ``wordings``) -> ``vocabulary``, ``network``;
``patches`` cuts out what is looked at; ``prompt`` understands a question; ``scorer`` answers it. Nothing is imported
here, since the network needs torch.
"""
