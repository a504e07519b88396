"""Tests: emr."""
