"""Training of the bundled networks, reproducible on two cores."""
