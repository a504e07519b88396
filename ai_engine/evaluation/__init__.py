"""How good is it, on what, and how do we know: scores, baselines, and the tables that hold them side by side.

Read ``segmentation.py`` first. ``domain`` says what is judged, ``scores`` are the figures, ``baselines`` what stands
beside every figure, ``contestants`` who is judged, ``crops`` turns composites into subjects, ``tables`` and ``panels``
print.
"""
