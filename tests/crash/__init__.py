"""The node is killed at many moments, and must lose nothing and deliver the results of an undisturbed run, once."""
