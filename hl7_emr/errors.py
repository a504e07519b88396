"""What can go wrong with the record."""


class EmrError(Exception):
    """Base of all errors of the record."""

    transient = False
