# Managed by Ansible, changes are lost.
"""Runs celery-exporter with the settings of an environment.

Its own command line takes neither Sentinels with credentials of their own nor a retry policy, it keeps one broker connection
permanently, and it calls workers by their host alone. Its metrics and its HTTP server are used as they are; the connection, the
names of nodes, and when workers are asked something are replaced here.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
import typing as t

from loguru import logger
from multinode_queues import Reader, broker_of
from prometheus_client import Counter, ProcessCollector, Summary
from prometheus_client.core import GaugeMetricFamily
from src import exporter as library

RETRY_SECONDS = 1
# How long workers may take to answer; they all answer at once.
ANSWER_SECONDS = 2.0
FINISHED = ("succeeded", "failed", "retried", "rejected", "revoked")


class Pools:
    """Finds the pool and the host of a node by its name and the settings; nodes that fit nothing are pools of their own."""

    def __init__(self, nodes: t.Iterable[t.Mapping[str, str]]) -> None:
        self._patterns = [(re.compile(entry["pattern"]), entry["pool"]) for entry in nodes]

    def of(self, node: str) -> tuple[str, str]:
        """Return the pool and the host."""
        name, _at, host = node.partition("@")
        return next((pool for pattern, pool in self._patterns if pattern.fullmatch(node)), name), host


class Exporter(library.Exporter):
    """The exporter of the library, on the environment's own connections."""

    def __init__(self, settings: dict[str, t.Any], app: t.Any, reader: Reader) -> None:
        super().__init__(
            buckets=settings["buckets"],
            worker_timeout_seconds=settings["worker_timeout_seconds"],
            purge_offline_worker_metrics_seconds=settings["worker_forget_seconds"],
            generic_hostname_task_sent_metric=True,
            initial_queues=settings["queues"],
        )
        self.settings, self.app, self.reader = settings, app, reader
        self.pools = Pools(settings["nodes"])
        self.state = app.events.State(max_tasks_in_memory=settings["tasks_in_memory"])
        self.lock = threading.Lock()
        self.consumed: dict[str, list[str]] = {}
        self.active: dict[str, int] = {}
        self.last_event = time.time()
        labels = ["pool", "host", "node", "state"]
        self.finished = Counter("multinode_tasks_finished", "Tasks that ended.", labels, registry=self.registry)
        self.runtime = Summary("multinode_task_runtime_seconds", "Time that tasks ran.", labels[:2], registry=self.registry)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    # --- events ---

    def track_task_event(self, event: dict[str, t.Any]) -> None:
        """Count an event as the library does, and the end of a task under its pool."""
        self.last_event = time.time()
        # Workers do not report where a task came from, but most nodes consume one queue.
        queues = [queue for queue in self.consumed.get(event["hostname"], []) if not queue.endswith(".dq2")]
        event.setdefault("queue", queues[0] if len(queues) == 1 else "")
        super().track_task_event(event)
        state = event["type"].removeprefix("task-")
        if state in FINISHED:
            pool, host = self.pools.of(event["hostname"])
            self.finished.labels(pool, host, event["hostname"], state).inc()
            if state == "succeeded":
                self.runtime.labels(pool, host).observe(event.get("runtime") or 0)

    def track_worker_heartbeat(self, event: dict[str, t.Any]) -> None:
        """Note a sign of life by this host's clock."""
        super().track_worker_heartbeat(event)
        self._seen(event)

    def track_worker_status(self, event: dict[str, t.Any], is_online: bool) -> None:
        """Note a start or a stop by this host's clock."""
        super().track_worker_status(event, is_online)
        self._seen(event)

    def _seen(self, event: dict[str, t.Any]) -> None:
        self.last_event = time.time()
        node = event["hostname"]
        self.active[node] = event.get("active") or 0
        if node in self.worker_last_seen:
            self.worker_last_seen[node]["ts"] = self.last_event

    def purge_worker_metrics(self, hostname: str) -> None:
        """Forget a node that is gone for long."""
        super().purge_worker_metrics(hostname)
        self.consumed.pop(hostname, None)
        self.active.pop(hostname, None)
        for labels in [labels for labels in self.finished._metrics if hostname in labels]:
            self.finished.remove(*labels)

    def alive(self, node: str) -> bool:
        """Tell whether a node gave a sign of life in time."""
        seen = self.worker_last_seen.get(node)
        return bool(seen) and not seen["forgotten"]

    # --- scrapes ---

    def scrape(self) -> None:
        """Update the library's gauges; workers are asked elsewhere, which takes seconds."""
        with self.lock:
            self.track_timed_out_workers()
            try:
                lengths = self.reader.lengths()
            except Exception as error:
                # A length of before the outage would be a lie.
                self.celery_queue_length.clear()
                logger.warning("no answer from the broker: {}", type(error).__name__)
                lengths = {}
            for queue, length in lengths.items():
                self.celery_queue_length.labels(queue_name=queue).set(length)
            for queue, count in self.consumers().items():
                self.celery_active_worker_count.labels(queue_name=queue).set(count)

    def consumers(self) -> dict[str, int]:
        """Count the living nodes that consume each queue; a node that is too busy to answer consumes what it did."""
        count = dict.fromkeys(self.settings["queues"], 0)
        for _node, queue in self.consumed_queues():
            count[queue] = count.get(queue, 0) + 1
        return count

    def consumed_queues(self) -> list[tuple[str, str]]:
        """Pair each living node with each queue that it consumes, except its own, which would be one series more for each node."""
        living = [(node, queues) for node, queues in list(self.consumed.items()) if self.alive(node)]
        return [(node, queue) for node, queues in living for queue in queues if not queue.endswith(f"{node}.dq2")]

    def describe(self) -> list[t.Any]:
        """Have no metrics before the first scrape."""
        return []

    def collect(self) -> t.Iterator[t.Any]:
        """Return what the library does not know."""
        yield GaugeMetricFamily("multinode_events_last_seconds", "Time since the last event of any worker.", value=time.time() - self.last_event)
        family = GaugeMetricFamily("multinode_queue_consumers", "Nodes that consume a queue.", labels=["queue"])
        for queue, count in self.consumers().items():
            family.add_metric([queue], count)
        yield family
        labels = ["node", "pool", "host"]
        consumer = GaugeMetricFamily("multinode_queue_consumer", "A node that consumes a queue.", labels=["queue", *labels])
        for node, queue in self.consumed_queues():
            consumer.add_metric([queue, node, *self.pools.of(node)], 1)
        yield consumer
        up = GaugeMetricFamily("multinode_worker_up", "Whether a node gave a sign of life in time.", labels=labels)
        active = GaugeMetricFamily("multinode_worker_active_tasks", "Tasks that a node runs.", labels=labels)
        for node in list(self.worker_last_seen):
            words = [node, *self.pools.of(node)]
            up.add_metric(words, int(self.alive(node)))
            active.add_metric(words, self.active.get(node, 0) if self.alive(node) else 0)
        yield up
        yield active

    # --- threads ---

    def ask_workers(self) -> None:
        """Ask every node now and then which queues it consumes."""
        while True:
            try:
                with self.app.connection_for_write() as connection:
                    connection.ensure_connection(max_retries=1)
                    answers = self.app.control.inspect(timeout=ANSWER_SECONDS, connection=connection).active_queues() or {}
                self.consumed.update({node: [queue["name"] for queue in queues] for node, queues in answers.items()})
            except Exception as error:
                logger.warning("workers cannot be asked: {}", type(error).__name__)
            time.sleep(self.settings["consumers_interval_seconds"])

    def listen(self) -> None:
        """Count events permanently, on a new connection whenever nothing comes: a broker that hangs does not report it."""
        handlers: dict[str, t.Any] = {
            "worker-heartbeat": self.track_worker_heartbeat,
            "worker-online": lambda event: self.track_worker_status(event, True),
            "worker-offline": lambda event: self.track_worker_status(event, False),
            **dict.fromkeys(self.state_counters, self.track_task_event),
        }
        while True:
            try:
                with self.app.connection_for_read() as connection:
                    connection.ensure_connection(max_retries=1)
                    receiver = self.app.events.Receiver(connection, handlers=handlers)
                    receiver.connect_max_retries = 1
                    receiver.capture(limit=None, timeout=self.settings["event_silence_seconds"], wakeup=True)
            except TimeoutError:
                logger.debug("no event for {} s, connecting again", self.settings["event_silence_seconds"])
            except Exception as error:
                logger.warning("events are interrupted: {}", type(error).__name__)
            time.sleep(RETRY_SECONDS)


def main() -> None:
    """Serve metrics until the end."""
    import celeryconfig
    from celery import Celery

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True)
    with open(parser.parse_args().settings, encoding="utf-8") as file:
        settings = json.load(file)
    logger.remove()
    logger.add(sys.stdout, level=settings["log_level"], format="{level}: {message}", backtrace=False, diagnose=False)
    # Workers on one host stay apart.
    library.get_hostname = str
    app = Celery("celery-exporter", set_as_current=False)
    app.config_from_object("celeryconfig")
    exporter = Exporter(settings, app, Reader(broker_of(celeryconfig), settings["queues"]))
    library.start_http_server(exporter.registry, app.connection_for_read(), settings["address"], settings["port"], exporter.scrape)
    threading.Thread(target=exporter.ask_workers, daemon=True).start()
    exporter.listen()


if __name__ == "__main__":
    main()
