"""What can go wrong inside the engine.

::

    EngineError
    ├ VolumeError        the volume cannot be analysed as it is (shape, spacing, values)
    ├ NoLungs            the volume holds no lung that can be analysed
    ├ EmptySegment       a candidate gave no mask
    ├ PromptOutside      a person pointed beyond the volume
    ├ NoRoom             a nodule found no place in a lung
    ├ WeightsError       weights cannot be used: refuse to start
    │ ├ WeightsMissing   there is no file
    │ └ WeightsCorrupt   the file is another one
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


class PromptOutside(EngineError):
    """A person pointed beyond the volume."""


class NoRoom(EngineError):
    """A nodule found no place in a lung."""


class WeightsError(EngineError):
    """Weights are missing, or are not the ones that settings name."""


class WeightsMissing(WeightsError):
    """The file of weights is not where it should be."""


class WeightsCorrupt(WeightsError):
    """The file of weights does not have the SHA-256 that it should have."""


class TrainingError(EngineError):
    """A training run cannot start, or cannot go on, as asked."""


class OutOfMemory(EngineError):
    """The analysis did not fit into memory."""

    transient = True
