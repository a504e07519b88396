"""Which of several complete stacks of the same anatomy is read first.

The order: long enough to hold the lungs; thinnest slices; preferred kernel; most slices. Thin is counted only down to
1 mm (``_FINEST_MM``): below that a reconstruction gains noise rather than nodules, so that a 0.6 mm lung-kernel series
does not beat a 1 mm body-kernel one. A kernel made for edges (bone, lung) comes after a body kernel unless the settings
prefer it: its noise, not its sharpness, is what volumes and Hounsfield means suffer from.
"""

import re
from collections.abc import Sequence

_FINEST_MM = 1.0
# Adult lungs are 200 to 300 mm high; a shorter stack is a part of them or something else, and is tried after those.
_WHOLE_CHEST_MM = 200.0
# GE and Philips by name; Siemens B60 and up, Br/Bl/Hr 58 and up; Canon FC50-FC59 (lung) and FC80-FC89 (bone).
_SHARP = re.compile(
    r"LUNG|BONE|EDGE|ULTRA|^(B|H|U)[6-9]\dS?|^(BR|BL|BV|HR|HC|BF)(5[89]|[6-9]\d)|^FC(5|8)\d|^(D|E|L|YC|YD|YE|YL)$",
    re.IGNORECASE,
)


def key(
    length_mm: float, slice_mm: float, kernel: str, n_slices: int, prefer_kernels: Sequence[str] = ()
) -> tuple[bool, float, int, int]:
    """Return a sort key, best first.

    Parameters
    ----------
    length_mm : float
        Along the stacking direction.
    slice_mm : float
        The coarser of spacing and slice thickness.
    prefer_kernels : sequence of str
        Convolution Kernel values, best first; compared without regard to case. A kernel that is not among them comes
        after those that are.
    """
    return (
        length_mm < _WHOLE_CHEST_MM,
        round(max(slice_mm, _FINEST_MM), 2),
        _kernel_rank(kernel, prefer_kernels),
        -n_slices,
    )


def _kernel_rank(kernel: str, prefer_kernels: Sequence[str]) -> int:
    first = kernel.split("\\", maxsplit=1)[0].strip().casefold()
    preferred = [name.strip().casefold() for name in prefer_kernels]
    if first in preferred:
        return preferred.index(first)
    return len(preferred) + bool(_SHARP.search(first))
