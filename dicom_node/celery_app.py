"""The Celery launcher: the same steps as the embedded one, run by workers on any number of machines.

The ledger is the truth, the queue only carries ids: a task claims its job there, and one that comes twice, late or for
a job that somebody else has does nothing. So a lost message is no loss (``Dispatcher`` fills the queue again from the
ledger) and a doubled one does no harm. Torch is never imported in a Celery parent process: a child forked from a
process whose torch has run threads would hang.
"""

import functools
import logging
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from kombu.exceptions import ChannelError, OperationalError

from dicom_node import node
from dicom_node.jobs.store import Store
from dicom_node.jobs.worker import Worker
from dicom_node.settings import Settings

_LOG = logging.getLogger(__name__)

ANALYSE, DELIVER = "emerald.analyse", "emerald.deliver"
PROBE = "emerald.probe"
_DISPATCH_S = 0.5
_PROBE_EXPIRES_S = 60.0
_BROKER_PAUSE_S = 5.0
_WATCH_S = 0.5
_STOP_S = 15.0
# Deliveries wait for networks, not for processors; one target binds one of these at most.
_DELIVERY_THREADS = 16


@dataclass(frozen=True)
class Tools:
    """What the tasks of one worker process work with."""

    worker: Worker
    probe: Callable[[], None]


def open_tools(settings: Settings) -> Tools:
    """Open ledger, spool and engine as the settings say; called in the process that runs the tasks."""
    parts = node.build_parts(settings)
    name = node.worker_name("celery")
    worker = Worker(parts.store, node.build_steps(parts), name, settings.worker.lease_s, Random())
    return Tools(worker, functools.partial(node.probe_parked, parts))


def make_app(settings: Settings, open_tools: Callable[[Settings], Tools] = open_tools) -> Celery:
    """Build the Celery application: three tasks, two queues.

    Parameters
    ----------
    open_tools : callable
        Called once in each worker process, by its first task.
    """
    app = Celery("emerald", broker=settings.worker.broker_url, set_as_current=False)
    app.conf.update(_configuration(settings))
    once = threading.Lock()
    cached = functools.cache(lambda: open_tools(settings))

    def tools() -> Tools:
        with once:
            return cached()

    @app.task(name=ANALYSE, queue=ANALYSE)
    def analyse(job_id: int) -> None:
        tools().worker.run_once(job_id)

    @app.task(name=DELIVER, queue=DELIVER)
    def deliver(delivery_id: int) -> None:
        worker = tools().worker
        replace(worker, name=f"{worker.name}-{threading.get_native_id()}").deliver_once(delivery_id=delivery_id)

    @app.task(name=PROBE, queue=DELIVER)
    def probe() -> None:
        tools().probe()

    return app


def _configuration(settings: Settings) -> dict[str, Any]:
    return {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": 4,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # A message whose worker was killed comes back after this time. It may be shorter than an analysis: the second
        # copy finds the job claimed. The restore options make kombu look every 2 s, not every 100 s.
        "broker_transport_options": {
            "visibility_timeout": max(60, round(2 * settings.worker.lease_s)),
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 4,
        },
    }


class Dispatcher:
    """Puts into the queues what the ledger has to do. Remembers nothing.

    A queue is filled only when it is empty: as long as messages wait there, workers are busy or away and nothing is
    lost. What is claimable although its queue is empty was never sent, or its message was lost, or it failed and is due
    again.
    """

    def __init__(self, app: Celery, store: Store) -> None:
        self._app = app
        self._store = store

    def dispatch(self) -> None:
        """Fill the queues that are empty; raises ``OperationalError`` while the broker is away."""
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=4)
            for queue, ids in ((ANALYSE, self._store.claimable_jobs), (DELIVER, self._store.claimable_deliveries)):
                waiting = ids()
                if waiting and _is_empty(connection, queue):
                    for one in waiting:
                        self._app.send_task(queue, [one], queue=queue, connection=connection, retry=False)

    def probe(self) -> None:
        """Have the parked targets probed by a worker, if there are any."""
        if self._store.parked_targets():
            self._app.send_task(PROBE, queue=DELIVER, expires=_PROBE_EXPIRES_S, retry=False)


def _is_empty(connection: Any, queue: str) -> bool:
    channel = connection.channel()
    try:
        return not channel.queue_declare(queue, passive=True).message_count
    except ChannelError:
        return True  # Redis has no empty lists
    finally:
        channel.close()


class CeleryLauncher:
    """Keeps the queues filled for as long as ``emerald serve`` runs; the workers are started apart."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._next_dispatch = self._next_probe = 0.0

    def start(self) -> None:
        """Open the ledger and the broker's application."""
        self._store = node.open_store(self._settings)
        self._dispatcher = Dispatcher(make_app(self._settings), self._store)

    def tend(self) -> None:
        """Dispatch what is due; a broker that is away is tried again later."""
        now = time.monotonic()
        if now < self._next_dispatch:
            return
        self._next_dispatch = now + _DISPATCH_S
        try:
            self._dispatcher.dispatch()
            if now >= self._next_probe:
                self._next_probe = now + self._settings.worker.probe_s
                self._dispatcher.probe()
        except OperationalError as error:
            _LOG.warning("broker: %s; trying again in %.0f s", error, _BROKER_PAUSE_S)
            self._next_dispatch = now + _BROKER_PAUSE_S

    def stop(self) -> None:
        """Close the ledger."""
        self._store.close()


def work(settings: Settings, concurrency: int = 1, log_level: str = "INFO") -> None:
    """Run analyses and deliveries until SIGTERM: forked processes for the one, threads beside them for the other."""
    stop = threading.Event()
    keeper = threading.Thread(target=_keep_delivering, args=(settings, log_level, stop), name="deliveries")
    keeper.start()
    try:
        consume(settings, ANALYSE, concurrency, log_level)
    finally:
        stop.set()
        keeper.join()


def _keep_delivering(settings: Settings, log_level: str, stop: threading.Event) -> None:
    """Keep a process that delivers until told to stop: Celery looks after those that analyse only."""
    while not stop.is_set():
        process = multiprocessing.get_context("spawn").Process(
            target=_deliver, args=(settings, log_level, os.getpid()), daemon=True
        )
        process.start()
        while process.is_alive() and not stop.wait(_WATCH_S):
            pass
        if not stop.is_set():
            _LOG.warning("delivery worker ended with %s, starting another", process.exitcode)
        process.terminate()
        process.join()


def _deliver(settings: Settings, log_level: str, parent: int) -> None:
    _end_with(parent)
    consume(settings, DELIVER, _DELIVERY_THREADS, log_level)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, however that ended: nobody would stop it any more."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(0)

    threading.Thread(target=watch, name="watch", daemon=True).start()


def consume(
    settings: Settings,
    queue: str,
    concurrency: int,
    log_level: str,
    open_tools: Callable[[Settings], Tools] = open_tools,
) -> None:
    """Be a Celery worker of one queue until SIGTERM."""
    node.begin_log(log_level)
    if queue == ANALYSE:
        os.nice(settings.worker.niceness)
    parent = os.getpid()
    worker_process_init.connect(lambda **_: _end_with(parent), weak=False)  # in each forked process
    worker = make_app(settings, open_tools).Worker(
        queues=[queue],
        pool="prefork" if queue == ANALYSE else "threads",
        concurrency=concurrency,
        hostname=f"{queue}@{socket.gethostname()}-{os.getpid()}",
        quiet=True,
        loglevel=log_level,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
