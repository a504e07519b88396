"""Published clinical rules as pure functions: a value, or the inputs that are missing."""
