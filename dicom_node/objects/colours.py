"""One colour per nodule, the same in the segmentation, the key image and the overlay."""

Rgb = tuple[int, int, int]

# Told apart also by those who do not tell red from green (Okabe and Ito 2008), bright enough on lung.
_PALETTE: tuple[Rgb, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 200, 145),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (120, 150, 255),
)


def colour(number: int) -> Rgb:
    """Return red, green, blue (0 to 255) of the nodule of this number, counted from 1."""
    return _PALETTE[(number - 1) % len(_PALETTE)]


def lighter(rgb: Rgb) -> Rgb:
    """Return the colour of a part of what has this one."""
    red, green, blue = ((value + 255) // 2 for value in rgb)
    return red, green, blue
