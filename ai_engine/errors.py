"""What can go wrong inside the engine.

::

    EngineError
    ├ VolumeError        the volume cannot be analysed as it is (shape, spacing, values)
    ├ NoLungs            the volume holds no lung that can be analysed
    ├ EmptySegment       a candidate gave no mask
    ├ WeightsError       weights are missing or are not the ones expected: refuse to start
    ├ TrainingError      a training run cannot start or go on as asked
    └ OutOfMemory        transient: another worker or a later moment may do
"""


class EngineError(Exception):
    """Base of all errors of the engine."""

    transient = False


class VolumeError(EngineError):
    """The volume cannot be analysed as it is."""


class NoLungs(EngineError):
    """The volume holds no lung that can be analysed."""


class EmptySegment(EngineError):
    """A candidate gave no mask."""


class WeightsError(EngineError):
    """Weights are missing, or are not the ones that settings name."""


class TrainingError(EngineError):
    """A training run cannot start, or cannot go on, as asked."""


class OutOfMemory(EngineError):
    """The analysis did not fit into memory."""

    transient = True
