"""Tests: standard."""
