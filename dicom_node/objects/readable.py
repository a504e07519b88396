"""Headers of others may hold values that cannot be read. They are left out where a header is read, and nowhere else."""

from pydicom import Dataset


def keep_readable(dataset: Dataset) -> None:
    """Remove every element, at any depth, whose value cannot be read as its VR says.

    The reader decodes a value when it is asked for; without this, each later look at the header could raise.
    """
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            for item in element.value if element.VR == "SQ" else ():
                keep_readable(item)
        except Exception:  # the decoding of a malformed value raises whatever it runs into
            del dataset[tag]
