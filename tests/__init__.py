"""Tests of Emerald."""
