"""The real SAM2 on CT: the `sam2` package's own modules behind one adapter."""
