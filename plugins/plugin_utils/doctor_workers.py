# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the doctor on worker nodes and queues."""

from __future__ import annotations

import typing as t

from ansible_collections.multinode.celery.plugins.plugin_utils.doctor import ERROR, WARNING, Environment, Finding, shortened


def expected_nodes(environment: Environment) -> dict[str, tuple[str, dict[str, t.Any]]]:
    """Return the nodes of the inventory by Celery's name, each with its host."""
    return {node["node"]: (host.name, node) for host in environment.hosts if not host.drained for node in host.expected.get("nodes", [])}


def expected_consumers(environment: Environment) -> dict[str, list[str]]:
    """Return for each queue the nodes that should consume it."""
    consumers: dict[str, list[str]] = {}
    for name, (_host, node) in expected_nodes(environment).items():
        for queue in node["queues"]:
            consumers.setdefault(queue, []).append(name)
    return consumers


def queried(environment: Environment) -> t.Iterator[Finding]:
    """Whether the workers could be asked at all."""
    if not expected_nodes(environment):
        return
    if not environment.query_host:
        yield Finding(
            ERROR, "workers", (), "The workers and queues could not be asked: no host with the application reaches the brokers",
            "Solve the findings on brokers, network and credentials first",
        )  # fmt: skip
        return
    for title, answer in (("workers", environment.nodes), ("queues", environment.queues)):
        if answer.get("failed"):
            message = str(answer.get("msg", "")).strip().splitlines()
            yield Finding(
                ERROR, "workers", (environment.query_host,), f"The {title} could not be asked from here: {message[-1] if message else 'no answer'}",
                "Solve the findings on brokers, network and credentials first",
            )  # fmt: skip


def nodes(environment: Environment) -> t.Iterator[Finding]:
    """Nodes that run and do not answer; what does not run at all is reported as a service."""
    hosts = {host.name: host for host in environment.hosts}
    for name in environment.nodes.get("missing", []):
        where, node = expected_nodes(environment).get(name, ("", {}))
        if where and hosts[where].answered and hosts[where].runs(node["service"]):
            yield Finding(
                ERROR, "workers", (where,), f"{name} runs but does not answer",
                f"Read {node['log_file']} there; if it hangs, `systemctl restart {node['service']}`",
            )  # fmt: skip


def consumers(environment: Environment) -> t.Iterator[Finding]:
    """Queues that nobody consumes, and nodes that do not consume theirs."""
    answers = environment.nodes.get("nodes", {})
    if not environment.query_host or environment.nodes.get("failed"):
        return
    consuming = {name: {queue["name"] for queue in answer.get("active_queues") or []} for name, answer in answers.items() if "active_queues" in answer}
    places = expected_nodes(environment)
    wanted = expected_consumers(environment)
    for queue, names in sorted(wanted.items()):
        idle = [name for name in names if name in consuming and queue not in consuming[name]]
        if not any(queue in consumed for consumed in consuming.values()):
            hosts = tuple(dict.fromkeys(places[name][0] for name in names))
            yield Finding(
                ERROR, "queue", hosts, f"Nobody consumes the queue {queue}, {shortened(names)} should",
                f"Restart these nodes; one that answers starts again with `celery-{_app(environment)} control add_consumer {queue}`",
            )  # fmt: skip
        elif idle:
            yield Finding(
                WARNING, "queue", tuple(dict.fromkeys(places[name][0] for name in idle)), f"{shortened(idle)} should consume the queue {queue} and does not",
                f"`celery-{_app(environment)} control add_consumer {queue} --destination {','.join(idle[:3])}`, or restart",
            )  # fmt: skip
    if environment.limits["complete"]:
        for queue in sorted({queue for host in environment.hosts for queue in host.expected.get("queues", [])} - set(wanted)):
            message = f"No pool of the inventory consumes the queue {queue} of celery_app_queues"
            yield Finding(ERROR, "queue", (), message, "Add it to a pool in celery_worker_pools")


def _app(environment: Environment) -> str:
    return next((host.expected["app"]["name"] for host in environment.hosts if host.name == environment.query_host), "app")


def waiting(environment: Environment) -> t.Iterator[Finding]:
    """Messages that wait, or that a worker holds, for too long."""
    limits = environment.limits
    for name, queue in sorted(environment.queues.get("queues", {}).items()):
        age = queue.get("oldest_seconds") or 0
        if queue["length"] > limits["queue_length_max"] or age > limits["queue_age_seconds_max"]:
            since = f", the oldest for {age:.0f} s" if age else ""
            tasks = shortened([f"{count} {task}" for task, count in sorted(queue.get("tasks", {}).items(), key=lambda item: -item[1])], most=3)
            yield Finding(
                WARNING, "waiting", (), f"{queue['length']} messages wait in the queue {name}{since} ({tasks or 'not read'})",
                "See that its nodes are well, then give it more of them with ops/scale.yml",
            )  # fmt: skip
    unacked = environment.queues.get("unacked", {})
    unacked_seconds = unacked.get("unacked_seconds") or 0
    if unacked_seconds > limits["unacked_age_seconds_max"]:
        yield Finding(
            WARNING, "unacked", (), f"{unacked['count']} messages are unacknowledged, the oldest for {unacked_seconds:.0f} s",
            "Look for hanging tasks with `celery-… inspect active`; messages of a dead worker return after celery_app_visibility_timeout_seconds",
        )  # fmt: skip


CHECKS = (queried, nodes, consumers, waiting)
