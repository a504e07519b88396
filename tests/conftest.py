"""Rules for the whole suite."""

import os

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why CI fails when something was skipped."""
    if os.environ.get("EMERALD_TEST_SKIP_NOTHING") and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("tests were skipped, and EMERALD_TEST_SKIP_NOTHING is set: failing", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that skipped anything where nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and os.environ.get("EMERALD_TEST_SKIP_NOTHING") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
