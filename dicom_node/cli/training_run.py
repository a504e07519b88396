"""What the commands that train share: the bar of a run, what it began with, and the engine's refusals."""

import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ai_engine.errors import TrainingError, WeightsError
from ai_engine.training.steps import Told
from dicom_node import node
from dicom_node.errors import NodeError


def circumstances(device: str) -> dict[str, Any]:
    """Say by which code and on what machine a run begins."""
    return {
        "version": node.software_version(),
        "commit": _commit(),
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "device": device,
    }


def _commit() -> str | None:
    """Name the commit of this package's source, where it is run from a checkout."""
    here = Path(__file__).parent
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return told.stdout.strip() or None


@contextmanager
def told_errors() -> Iterator[None]:
    """Say what the engine refuses as the command line says its own."""
    try:
        yield
    except (TrainingError, WeightsError) as error:
        raise NodeError(str(error)) from error


@contextmanager
def shown(figure: str, every: int = 200) -> Iterator[Callable[[Told], None]]:
    """Show a run: its bar, loss (mean of 100 steps), the last validation; without a terminal, a line now and then.

    Parameters
    ----------
    figure : str
        What the validation's figure is called.
    every : int
        Steps between two lines.
    """
    words = "step {task.fields[step]}, loss {task.fields[loss]:.3f}, " + figure + " {task.fields[seen]}"
    with Progress(TextColumn(words), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=1.0, step=0, loss=0.0, seen="-")
        mean: list[float] = []

        def watch(told: Told) -> None:
            mean.append(told.loss)
            del mean[:-100]
            loss = sum(mean) / len(mean)
            seen = "-" if told.seen is None else f"{told.seen:.3f}"
            bar.update(task, completed=told.progress, step=told.step, loss=loss, seen=seen)
            if not bar.console.is_terminal and told.step % every == 0:
                print(f"step {told.step} ({told.progress:.1%}), loss {loss:.3f}, {figure} {seen}", flush=True)

        yield watch
