# Managed by Ansible, changes are lost.
"""Looks once at the worker nodes of this host and restarts those that hang.

Nodes write down what they do, see multinode_heartbeat.py; nothing of the application is imported here and no worker is asked.
A node hangs when one of these lasts longer than the threshold:

stopped   its main process is stopped by a signal
stuck     its loop does not turn, although the broker can be reached
idle      messages wait in its queues, a slot is free, and it neither takes nor finishes any
overdue   messages wait, every slot is occupied, and every task runs beyond its time limit

A task that runs long within its time limit, or without one, keeps its node busy. It is never a hang.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import select
import signal
import sys
import time
import typing as t

import _environment_file
import _redis_client as redis
from _processes import stat_fields

SEPARATOR = "\x06\x16"
SHOWN_BYTES = 65536
RECORD_BYTES = 1 << 20
# How long a killed process may take to leave, and a dump to be written.
KILL_SECONDS = 10.0
DUMP_SECONDS = 0.5


class Look(t.NamedTuple):
    """What is seen of a node from outside, by the clock that counts since boot."""

    now: float
    state: str
    backlog: int | None
    broker_since: float | None


# --- evaluation ---


def overdue(task: t.Mapping[str, t.Any], silence_seconds: float, margin: float) -> bool:
    """Tell whether a task runs beyond its time limit, which Celery should have ended."""
    return bool(task["limit"]) and task["seconds"] + silence_seconds > task["limit"] + margin


def on_duty(heartbeat: t.Mapping[str, t.Any], look: Look, margin: float) -> bool:
    """Tell whether the node ought to take a message now."""
    free = heartbeat["slots_used"] < heartbeat["slots"]
    late = bool(heartbeat["active"]) and all(overdue(task, look.now - heartbeat["beat"], margin) for task in heartbeat["active"])
    return bool(look.backlog) and (free or late)


def progress(heartbeat: t.Mapping[str, t.Any], look: Look, previous: t.Mapping[str, t.Any], margin: float) -> dict[str, t.Any]:
    """Return what to remember of a node: since when it ought to have done something and did not."""
    same = (previous.get("accepted"), previous.get("finished")) == (heartbeat["accepted"], heartbeat["finished"])
    since = previous.get("since") if same and on_duty(heartbeat, look, margin) else None
    return {"accepted": heartbeat["accepted"], "finished": heartbeat["finished"], "since": look.now if since is None else since}


def evaluate(heartbeat: t.Mapping[str, t.Any], look: Look, memory: t.Mapping[str, t.Any], threshold: float, margin: float) -> str:
    """Return why a node counts as hanging, nothing when it does not."""
    silence_seconds = look.now - heartbeat["beat"]
    if silence_seconds <= threshold:
        if look.now - memory["since"] <= threshold:
            return ""
        return "idle" if heartbeat["slots_used"] < heartbeat["slots"] else "overdue"
    if look.state == "T":
        return "stopped"
    if heartbeat["pool"] == "solo" and heartbeat["active"]:
        # Its loop stands still while a task runs, and it cannot end one by itself.
        return "overdue" if all(overdue(task, silence_seconds, margin) for task in heartbeat["active"]) else ""
    # Without a broker the loop rests: the worker connects again and again.
    reachable = look.broker_since is not None and look.now - look.broker_since > threshold
    return "stuck" if reachable else ""


# --- processes ---


def state_of(process: int, start: int) -> str:
    """Return the state of a process, nothing when its number belongs to another one by now."""
    fields = stat_fields(process)
    return fields[0] if fields and int(fields[19]) == start and fields[0] not in "ZX" else ""


def family(process: int) -> dict[int, int]:
    """Return a process and all that descend from it, with their starts."""
    parents: dict[int, list[int]] = {}
    starts = {}
    for name in os.listdir("/proc"):
        fields = stat_fields(int(name)) if name.isdigit() else []
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(name))
            starts[int(name)] = int(fields[19])
    found, waiting = {}, [process]
    while waiting:
        one = waiting.pop()
        if one in starts:
            found[one] = starts[one]
        waiting += parents.get(one, [])
    return found


def handles(process: int, number: int) -> bool:
    """Tell whether a process has a handler for a signal; any other would end by it."""
    try:
        with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as status:
            masks = [line.split()[1] for line in status if line.startswith("SigCgt:")]
    except OSError:
        return False
    return bool(masks) and bool(int(masks[0], 16) & 1 << number - 1)


def send(process: int, start: int, number: int) -> None:
    """Send a signal to this process and no other that got its number meanwhile."""
    try:
        handle = os.pidfd_open(process)
    except OSError:
        return
    try:
        if state_of(process, start):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def wait_gone(process: int, start: int, seconds: float) -> None:
    """Wait until a process has left."""
    try:
        handle = os.pidfd_open(process)
    except OSError:
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if state_of(process, start):
            poll.poll(seconds * 1000)
    finally:
        os.close(handle)


def dump(heartbeat: t.Mapping[str, t.Any], path: str, state: str) -> str:
    """Have the processes of a node write their stacks, and return them."""
    size = os.path.getsize(path) if os.path.exists(path) else 0
    # The main process last: a stopped one must go on to write, and has no more than this moment before it is killed.
    for process, start in reversed(family(heartbeat["pid"]).items()):
        if handles(process, signal.SIGUSR2):
            send(process, start, signal.SIGUSR2)
            if process == heartbeat["pid"] and state == "T":
                send(process, start, signal.SIGCONT)
            # One after the other, they share the file.
            time.sleep(DUMP_SECONDS)
    if not os.path.exists(path):
        return ""
    with open(path, "rb") as file:
        file.seek(size)
        return file.read(SHOWN_BYTES).decode("utf-8", "replace")


def kill(heartbeat: t.Mapping[str, t.Any]) -> None:
    """End a node with everything it started; its manager starts it again."""
    processes = family(heartbeat["pid"])
    if not state_of(heartbeat["pid"], heartbeat["start"]):
        return
    send(heartbeat["pid"], heartbeat["start"], signal.SIGKILL)
    wait_gone(heartbeat["pid"], heartbeat["start"], KILL_SECONDS)
    for process, start in processes.items():
        send(process, start, signal.SIGKILL)


# --- the broker ---


def backlogs(settings: t.Mapping[str, t.Any], queues: t.Sequence[str]) -> dict[str, int] | None:
    """Ask the master how many messages wait in each queue, nothing when it cannot be asked."""
    words = _environment_file.read(settings["env"])
    for address in settings["sentinels"]:
        try:
            with redis.RedisClient(address, settings["sentinel_port"], 1.0, settings["tls"]) as sentinel:
                sentinel.login(settings["sentinel_user"], [words["MULTINODE_SENTINEL_PASSWORD"]])
                master = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", settings["master_name"])
            if not master:
                continue
            with redis.RedisClient(master[0], int(master[1]), 3.0, settings["tls"]) as client:
                client.login(settings["user"], [words["MULTINODE_REDIS_PASSWORD"]])
                client.command("SELECT", settings["vhost"])
                steps = [f"{SEPARATOR}{step}" if step else "" for step in settings["priority_steps"]]
                keys = [(queue, f"{settings['key_prefix']}{queue}{step}") for queue in queues for step in steps]
                counts = client.transaction([("LLEN", key) for _queue, key in keys]) if keys else []
        except (redis.Unavailable, redis.ReplyError, OSError):
            continue
        found = dict.fromkeys(queues, 0)
        for (queue, _key), count in zip(keys, counts):
            found[queue] += count
        return found
    return None


# --- one look ---


def read_record(path: str) -> dict[str, t.Any]:
    """Read a record of a node, nothing when it is not one."""
    try:
        with open(path, encoding="utf-8") as file:
            record = json.loads(file.read(RECORD_BYTES))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


class Watchdog:
    """One run, with what the previous runs remembered."""

    def __init__(self, settings: dict[str, t.Any], directory: str) -> None:
        self.settings = settings
        self.path = os.path.join(directory, "memory.json")
        self.memory: dict[str, t.Any] = {"nodes": {}, "restarts": {}, "broker_since": None, **read_record(self.path)}

    def run(self) -> None:
        """Look at every node and act."""
        records = [read_record(path) for path in sorted(glob.glob(f"{glob.escape(self.settings['heartbeat_directory'])}/*.json"))]
        heartbeats = [record for record in records if record.get("pid") and state_of(record["pid"], record["start"])]
        waiting = backlogs(self.settings, sorted({queue for heartbeat in heartbeats for queue in heartbeat["queues"]}))
        now = time.monotonic()
        self.memory["broker_since"] = None if waiting is None else self.memory["broker_since"] or now
        previous, self.memory["nodes"] = self.memory["nodes"], {}
        for heartbeat in heartbeats:
            known = previous.get(heartbeat["node"], {})
            if (known.get("pid"), known.get("start")) != (heartbeat["pid"], heartbeat["start"]):
                known = {"pid": heartbeat["pid"], "start": heartbeat["start"]}
            self.memory["nodes"][heartbeat["node"]] = known
            backlog = None if waiting is None else sum(waiting.get(queue, 0) for queue in heartbeat["queues"])
            look = Look(now, state_of(heartbeat["pid"], heartbeat["start"]), backlog, self.memory["broker_since"])
            self.treat(heartbeat, look, known)
        self.memory["looked"] = time.time()
        self.save()

    def treat(self, heartbeat: dict[str, t.Any], look: Look, known: dict[str, t.Any]) -> None:
        """Evaluate one node and restart it where it hangs."""
        node, base = heartbeat["node"], os.path.join(self.settings["heartbeat_directory"], heartbeat["node"])
        stopping = read_record(f"{base}.stop")
        draining = (stopping.get("pid"), stopping.get("start")) == (heartbeat["pid"], heartbeat["start"])
        if known.get("asked") is not None:
            if look.now - known["asked"] > self.settings["stop_timeout_seconds"]:
                print(f"{node} does not stop, process {heartbeat['pid']} is killed", flush=True)
                kill(heartbeat)
            return
        if draining and look.state != "T":
            return
        known.update(progress(heartbeat, look, known, self.settings["overdue_margin_seconds"]))
        reason = evaluate(heartbeat, look, known, self.settings["threshold_seconds"], self.settings["overdue_margin_seconds"])
        if not reason:
            return
        waiting = "an unknown number of" if look.backlog is None else look.backlog
        print(
            f"{node} hangs ({reason}): last sign {look.now - heartbeat['beat']:.0f} s ago, {heartbeat['slots_used']} of {heartbeat['slots']} slots used, "
            f"{heartbeat['finished']} tasks finished, {waiting} messages waiting; stacks of its processes follow",
            flush=True,
        )
        print(dump(heartbeat, f"{base}.stacks", look.state) or "no stacks were written", flush=True)
        if reason in ("stopped", "stuck"):
            print(f"{node}: process {heartbeat['pid']} is killed, its manager starts it again", flush=True)
            kill(heartbeat)
        else:
            print(f"{node}: process {heartbeat['pid']} is asked to drain, its manager starts it again", flush=True)
            send(heartbeat["pid"], heartbeat["start"], signal.SIGTERM)
        known["asked"] = look.now
        counts = self.memory["restarts"].setdefault(node, {})
        counts[reason] = counts.get(reason, 0) + 1

    def save(self) -> None:
        """Keep what the next run needs, and show it to a collector of text files."""
        for path, text in ((self.path, json.dumps(self.memory)), (f"{os.path.dirname(self.path)}/celery_watchdog.prom", self.metrics())):
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(f"{path}.new", path)

    def metrics(self) -> str:
        """Return the counts in Prometheus's text format."""
        lines = [
            "# TYPE multinode_watchdog_last_run_timestamp_seconds gauge",
            f"multinode_watchdog_last_run_timestamp_seconds {self.memory['looked']:.0f}",
            "# TYPE multinode_watchdog_restarts_total counter",
        ]
        for node, counts in sorted(self.memory["restarts"].items()):
            lines += [f'multinode_watchdog_restarts_total{{node="{node}",reason="{reason}"}} {count}' for reason, count in counts.items()]
        return "\n".join(lines) + "\n"


def main() -> int:
    """Look once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--settings", required=True)
    parser.add_argument("--directory", required=True)
    options = parser.parse_args()
    with open(options.settings, encoding="utf-8") as file:
        settings = json.load(file)
    Watchdog(settings, options.directory).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
