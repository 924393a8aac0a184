# Managed by Ansible, changes are lost.
"""What waits in Celery's queues on Redis, for Prometheus.

Connections are made by the settings of the environment's own configuration module: its Sentinels, user, prefix and timeouts.
Each look asks the Sentinels who is master and opens one connection, so that a demoted master is never believed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import threading
import time
import typing as t
from urllib.parse import unquote, urlsplit

logger = logging.getLogger("multinode.queues")
SENT_AT = "multinode_sent_at"
# Messages that workers hold and that are looked at one by one; beyond it they are counted under no queue.
UNACKED_LIMIT = 2000
SEPARATOR = "\x06\x16"


class Broker(t.NamedTuple):
    """How an environment reaches its queues."""

    sentinels: list[tuple[str, int]]
    master_name: str
    vhost: int
    username: str
    password: str
    options: dict[str, t.Any]
    tls: t.Any


def broker_of(config: t.Any) -> Broker:
    """Read the broker's settings from the configuration module."""
    urls = [urlsplit(url) for url in config.broker_url.split(";")]
    options = dict(config.broker_transport_options)
    return Broker(
        sentinels=[(str(url.hostname), url.port or 26379) for url in urls],
        master_name=options["master_name"],
        vhost=int(urls[0].path.strip("/") or 0),
        username=unquote(urls[0].username or ""),
        password=unquote(urls[0].password or ""),
        options=options,
        tls=getattr(config, "broker_use_ssl", None),
    )


@contextlib.contextmanager
def open_master(broker: Broker) -> t.Iterator[t.Any]:
    """Ask the Sentinels for the master and connect to it."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    from redis.sentinel import Sentinel

    options = broker.options
    extra = {"ssl": True, **broker.tls} if isinstance(broker.tls, dict) and broker.tls else {}
    known = Sentinel(broker.sentinels, sentinel_kwargs=options.get("sentinel_kwargs"))
    try:
        host, port = known.discover_master(broker.master_name)
        client = redis.Redis(
            host=host,
            port=port,
            db=broker.vhost,
            username=broker.username,
            password=broker.password,
            socket_timeout=options.get("socket_timeout", 3),
            socket_connect_timeout=options.get("socket_connect_timeout", 1),
            client_name=options.get("client_name"),
            retry=Retry(NoBackoff(), 0),
            **extra,
        )
        try:
            yield client
        finally:
            client.close()
    finally:
        for sentinel in known.sentinels:
            sentinel.close()


def queue_keys(queue: str, options: t.Mapping[str, t.Any]) -> dict[int, str]:
    """Return the list of each priority step of a queue, as kombu names them."""
    prefix = options.get("global_keyprefix", "")
    separator = options.get("sep", SEPARATOR)
    steps = options.get("priority_steps", [0, 3, 6, 9])
    return {step: f"{prefix}{queue}{separator}{step}" if step else f"{prefix}{queue}" for step in steps}


def sent_at(message: t.Mapping[str, t.Any]) -> float | None:
    """Return when a message was sent, unless its producer does not state it."""
    value = (message.get("headers") or {}).get(SENT_AT)
    return float(value) if isinstance(value, (int, float)) else None


def identity(message: t.Mapping[str, t.Any]) -> str:
    """Return what tells a message from others."""
    return str((message.get("properties") or {}).get("delivery_tag"))


def queue_of(entry: t.Sequence[t.Any], queues: t.Container[str]) -> str:
    """Return the queue that an unacknowledged message came from, by the exchange and the routing key noted with it."""
    exchange, key = entry[1], entry[2]
    if exchange == "C.dq2":
        return f"{key}.dq2"
    return key if key in queues else ""


class Snapshot(t.NamedTuple):
    """One look at the broker."""

    length: dict[str, int]
    by_priority: dict[tuple[str, int], int]
    oldest: dict[str, float]
    unknown_age: dict[str, bool]
    unacked: dict[str, int]
    unacked_oldest: dict[str, float]
    unacked_total: int


class Reader:
    """Looks at the queues and remembers what the next look need not ask again."""

    def __init__(self, broker: Broker, queues: t.Sequence[str]) -> None:
        self.broker = broker
        self.queues = list(queues)
        self.keys = {queue: queue_keys(queue, broker.options) for queue in self.queues}
        prefix = broker.options.get("global_keyprefix", "")
        self.unacked = prefix + broker.options.get("unacked_key", "unacked")
        self.index = prefix + broker.options.get("unacked_index_key", "unacked_index")
        self.first_seen: dict[tuple[str, int], tuple[str, float]] = {}
        self.origins: dict[str, str] = {}

    def look(self) -> Snapshot:
        """Ask the master about every queue."""
        with open_master(self.broker) as client:
            pipe = client.pipeline(transaction=False)
            places = [(queue, step, key) for queue in self.queues for step, key in self.keys[queue].items()]
            for _queue, _step, key in places:
                pipe.llen(key)
                # Workers take from this end.
                pipe.lrange(key, -1, -1)
            pipe.hlen(self.unacked)
            pipe.zrange(self.index, 0, UNACKED_LIMIT - 1, withscores=True)
            *answers, unacked_total, unacked = pipe.execute()
            scores = {tag.decode(): score for tag, score in unacked}
            self._learn(client, scores)
        now = time.time()
        length, by_priority, oldest, unknown = self._queues(places, answers, now)
        unacked_count, unacked_oldest = self._unacked(scores, now)
        return Snapshot(length, by_priority, oldest, unknown, unacked_count, unacked_oldest, unacked_total)

    def lengths(self) -> dict[str, int]:
        """Return how many messages wait in each queue."""
        with open_master(self.broker) as client:
            pipe = client.pipeline(transaction=False)
            for queue in self.queues:
                for key in self.keys[queue].values():
                    pipe.llen(key)
            counts = iter(pipe.execute())
        return {queue: sum(next(counts, 0) for _key in self.keys[queue]) for queue in self.queues}

    def _queues(self, places: list[tuple[str, int, str]], answers: list[t.Any], now: float) -> tuple[t.Any, ...]:
        length = dict.fromkeys(self.queues, 0)
        oldest = dict.fromkeys(self.queues, 0.0)
        unknown = dict.fromkeys(self.queues, False)
        by_priority = {}
        for number, (queue, step, _key) in enumerate(places):
            count, tail = answers[2 * number], answers[2 * number + 1]
            length[queue] += count
            by_priority[queue, step] = count
            if not tail:
                self.first_seen.pop((queue, step), None)
                continue
            message = json.loads(tail[0])
            since = sent_at(message)
            if since is None:
                unknown[queue] = True
                since = self._since((queue, step), identity(message), now)
            oldest[queue] = max(oldest[queue], now - since)
        return length, by_priority, oldest, unknown

    def _since(self, place: tuple[str, int], name: str, now: float) -> float:
        """Return when a message without a time was first seen at the end of its list."""
        if self.first_seen.get(place, ("",))[0] != name:
            self.first_seen[place] = (name, now)
        return self.first_seen[place][1]

    def _learn(self, client: t.Any, scores: t.Mapping[str, float]) -> None:
        """Record the queues of messages that were delivered since the last look; remove what is gone."""
        new = [tag for tag in scores if tag not in self.origins]
        self.origins = {tag: queue for tag, queue in self.origins.items() if tag in scores}
        for tag, entry in zip(new, client.hmget(self.unacked, new) if new else []):
            if entry:
                self.origins[tag] = queue_of(json.loads(entry), self.keys)

    def _unacked(self, scores: t.Mapping[str, float], now: float) -> tuple[dict[str, int], dict[str, float]]:
        count = dict.fromkeys(self.queues, 0)
        oldest = dict.fromkeys(self.queues, 0.0)
        for tag, score in scores.items():
            queue = self.origins.get(tag)
            if queue is not None:
                count[queue] = count.get(queue, 0) + 1
                oldest[queue] = max(oldest.get(queue, 0.0), now - score)
        return count, oldest


class Collector:
    """Turns one look into metrics at each scrape."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.lock = threading.Lock()

    def describe(self) -> list[t.Any]:
        """Keep the registry from asking the broker when it starts."""
        return []

    def collect(self) -> t.Iterator[t.Any]:
        """Answer a scrape; without a master there is nothing but the news of it."""
        from prometheus_client.core import GaugeMetricFamily

        begin = time.monotonic()
        snapshot = None
        with self.lock:
            try:
                snapshot = self.reader.look()
            except Exception as error:
                # Whatever it is, the exporter outlives it; the type tells enough and holds no address or secret.
                logger.warning("no answer from the broker: %s", type(error).__name__)
        yield GaugeMetricFamily("multinode_queues_up", "Whether this scrape reached the master.", value=int(snapshot is not None))
        yield GaugeMetricFamily("multinode_queues_scrape_seconds", "Time that the look took.", value=time.monotonic() - begin)
        if snapshot is None:
            return
        yield GaugeMetricFamily("multinode_unacked_total", "Messages that workers hold.", value=snapshot.unacked_total)
        for name, text, values in (
            ("multinode_queue_length", "Messages that wait in a queue.", snapshot.length),
            ("multinode_queue_oldest_message_age_seconds", "Age of the message that is delivered next.", snapshot.oldest),
            ("multinode_queue_with_unknown_age", "Whether that message has no time of sending.", snapshot.unknown_age),
            ("multinode_queue_unacked", "Messages of a queue that workers hold.", snapshot.unacked),
            ("multinode_queue_unacked_oldest_age_seconds", "Time since the first of them was delivered.", snapshot.unacked_oldest),
        ):
            family = GaugeMetricFamily(name, text, labels=["queue"])
            for queue, value in values.items():
                family.add_metric([queue], value)
            yield family
        if any(step for _queue, step in snapshot.by_priority):
            family = GaugeMetricFamily("multinode_queue_priority_length", "Messages of one priority.", labels=["queue", "priority"])
            for (queue, step), value in snapshot.by_priority.items():
                family.add_metric([queue, str(step)], value)
            yield family


def main() -> None:
    """Serve metrics until the end."""
    import celeryconfig
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with open(parser.parse_args().settings, encoding="utf-8") as file:
        settings = json.load(file)
    registry = CollectorRegistry()
    registry.register(Collector(Reader(broker_of(celeryconfig), settings["queues"])))
    ProcessCollector(registry=registry)
    _server, thread = start_http_server(settings["queues_port"], settings["address"], registry)
    thread.join()


if __name__ == "__main__":
    main()
