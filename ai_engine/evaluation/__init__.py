"""How good is it, on what, and how do we know: scores, baselines, and the tables that hold them side by side.

Read ``segmentation.py`` first. ``domain`` says what is judged, ``scores`` are the figures, ``baselines`` what stands
beside every figure, ``contestants`` who is judged, ``crops`` turns composites into subjects, ``tables`` and ``panels``
print. Detection begins in ``detection.py`` (by candidate) and ``reported.py`` (as the node reports), prompts in
``language.py``, named parts in ``parts.py``.
"""
