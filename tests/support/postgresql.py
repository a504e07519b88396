"""A PostgreSQL server of its own for a run of tests: in a temporary folder, on a socket in it, gone afterwards."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from tests.support.running import wait_until

_USER = "emerald"


def _programs() -> Path | None:
    """Return the folder with PostgreSQL's programs: Debian keeps them out of PATH, one folder for each version."""
    found = [Path(program).resolve().parent for program in (shutil.which("initdb"),) if program]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    usable = [each for each in found if (each / "initdb").exists() and (each / "postgres").exists()]
    return usable[-1] if usable else None


def missing() -> str:
    """Name what is not installed here and a server, or a connection to it, needs; empty: nothing."""
    if _programs() is None:
        return "PostgreSQL's programs (initdb, postgres)"
    return "" if importlib.util.find_spec("psycopg") else "psycopg"


class PostgresServer:
    """Runs as long as the block lasts. What it holds survives no power cut: that is its price for being fast."""

    def __enter__(self) -> Self:
        programs = _programs()
        assert programs is not None
        # short, since a socket's path has at most 107 characters
        self._folder = Path(tempfile.mkdtemp(prefix="emerald-pg-", dir="/tmp"))
        self._as = _not_root(self._folder)
        data = self._folder / "data"
        options = ("-U", _USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        command = [programs / "initdb", "-D", data, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, timeout=120, **self._as)
        settings = {"listen_addresses": "", "unix_socket_directories": self._folder, "fsync": "off"}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [programs / "postgres", "-D", data, *arguments], cwd=self._folder, stdout=log, stderr=log, **self._as
            )
        self._numbers = count(1)
        self._engine = sa.create_engine(self._url, isolation_level="AUTOCOMMIT")
        wait_until(self._answers, 60, "PostgreSQL answers")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()
        self._process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        self._process.wait(60)
        shutil.rmtree(self._folder)

    def new_schema(self) -> str:
        """Return the SQLAlchemy URL of an empty schema, the only one that its connections see."""
        name = f"ledger_{next(self._numbers)}"
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        return f"{self._url}&options=-csearch_path%3D{name}"

    @property
    def _url(self) -> str:
        return f"postgresql+psycopg://{_USER}@/postgres?host={self._folder}"

    def _answers(self) -> bool:
        try:
            with self._engine.connect():
                return True
        except sa.exc.OperationalError:
            return False


def _not_root(folder: Path) -> dict[str, Any]:
    """Return as whom to start its programs, which refuse to run as root, and give the folder to that user."""
    if os.geteuid() != 0:
        return {}
    names = {each.pw_name for each in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
