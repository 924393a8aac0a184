# Managed by Ansible, changes are lost.
"""Looks once at the worker nodes of this host and restarts those that hang.

Nodes write down what they do, see multinode_pulse.py; nothing of the application is imported here and no worker is asked.
A node hangs when one of these lasts longer than the threshold:

stopped   its main process is stopped by a signal
stuck     its loop does not turn, although the broker can be reached
idle      messages wait in its queues, a place is free, and it neither takes nor finishes any
overdue   messages wait, every place is taken, and every task runs beyond its time limit

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
NOTE_BYTES = 1 << 20
# How long a killed process may take to leave, and a dump to be written.
KILL_SECONDS = 10.0
DUMP_SECONDS = 0.5


class Look(t.NamedTuple):
    """What is seen of a node from outside, by the clock that counts since boot."""

    now: float
    state: str
    backlog: int | None
    broker_since: float | None


# --- judgement ---


def overdue(task: t.Mapping[str, t.Any], silent: float, margin: float) -> bool:
    """Tell whether a task runs beyond its time limit, which Celery should have ended."""
    return bool(task["limit"]) and task["seconds"] + silent > task["limit"] + margin


def on_duty(pulse: t.Mapping[str, t.Any], look: Look, margin: float) -> bool:
    """Tell whether the node ought to take a message now."""
    free = pulse["taken"] < pulse["places"]
    late = bool(pulse["active"]) and all(overdue(task, look.now - pulse["beat"], margin) for task in pulse["active"])
    return bool(look.backlog) and (free or late)


def progress(pulse: t.Mapping[str, t.Any], look: Look, former: t.Mapping[str, t.Any], margin: float) -> dict[str, t.Any]:
    """Return what to remember of a node: since when it ought to have done something and did not."""
    same = (former.get("accepted"), former.get("finished")) == (pulse["accepted"], pulse["finished"])
    since = former.get("since") if same and on_duty(pulse, look, margin) else None
    return {"accepted": pulse["accepted"], "finished": pulse["finished"], "since": look.now if since is None else since}


def judge(pulse: t.Mapping[str, t.Any], look: Look, memory: t.Mapping[str, t.Any], threshold: float, margin: float) -> str:
    """Return why a node counts as hanging, nothing when it does not."""
    silent = look.now - pulse["beat"]
    if silent <= threshold:
        if look.now - memory["since"] <= threshold:
            return ""
        return "idle" if pulse["taken"] < pulse["places"] else "overdue"
    if look.state == "T":
        return "stopped"
    if pulse["pool"] == "solo" and pulse["active"]:
        # Its loop stands still while a task runs, and it cannot end one by itself.
        return "overdue" if all(overdue(task, silent, margin) for task in pulse["active"]) else ""
    # Without a broker the loop rests: the worker dials again and again.
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


def dump(pulse: t.Mapping[str, t.Any], path: str, state: str) -> str:
    """Have the processes of a node write their stacks, and return them."""
    size = os.path.getsize(path) if os.path.exists(path) else 0
    # The main process last: a stopped one must go on to write, and has no more than this moment before it is killed.
    for process, start in reversed(family(pulse["pid"]).items()):
        if handles(process, signal.SIGUSR2):
            send(process, start, signal.SIGUSR2)
            if process == pulse["pid"] and state == "T":
                send(process, start, signal.SIGCONT)
            # One after the other, they share the file.
            time.sleep(DUMP_SECONDS)
    if not os.path.exists(path):
        return ""
    with open(path, "rb") as file:
        file.seek(size)
        return file.read(SHOWN_BYTES).decode("utf-8", "replace")


def kill(pulse: t.Mapping[str, t.Any]) -> None:
    """End a node with everything it started; its manager starts it again."""
    processes = family(pulse["pid"])
    if not state_of(pulse["pid"], pulse["start"]):
        return
    send(pulse["pid"], pulse["start"], signal.SIGKILL)
    wait_gone(pulse["pid"], pulse["start"], KILL_SECONDS)
    for process, start in processes.items():
        send(process, start, signal.SIGKILL)


# --- the broker ---


def backlogs(settings: t.Mapping[str, t.Any], queues: t.Sequence[str]) -> dict[str, int] | None:
    """Ask the master how many messages wait in each queue, nothing when it cannot be asked."""
    words = _environment_file.read(settings["environment"])
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


def read_note(path: str) -> dict[str, t.Any]:
    """Read a note of a node, nothing when it is not one."""
    try:
        with open(path, encoding="utf-8") as file:
            note = json.loads(file.read(NOTE_BYTES))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


class Watchdog:
    """One run, with what the former runs remembered."""

    def __init__(self, settings: dict[str, t.Any], directory: str) -> None:
        self.settings = settings
        self.path = os.path.join(directory, "memory.json")
        self.memory: dict[str, t.Any] = {"nodes": {}, "restarts": {}, "broker_since": None, **read_note(self.path)}

    def run(self) -> None:
        """Look at every node and act."""
        notes = [read_note(path) for path in sorted(glob.glob(f"{glob.escape(self.settings['pulse_directory'])}/*.json"))]
        pulses = [note for note in notes if note.get("pid") and state_of(note["pid"], note["start"])]
        waiting = backlogs(self.settings, sorted({queue for pulse in pulses for queue in pulse["queues"]}))
        now = time.monotonic()
        self.memory["broker_since"] = None if waiting is None else self.memory["broker_since"] or now
        former, self.memory["nodes"] = self.memory["nodes"], {}
        for pulse in pulses:
            known = former.get(pulse["node"], {})
            if (known.get("pid"), known.get("start")) != (pulse["pid"], pulse["start"]):
                known = {"pid": pulse["pid"], "start": pulse["start"]}
            self.memory["nodes"][pulse["node"]] = known
            backlog = None if waiting is None else sum(waiting.get(queue, 0) for queue in pulse["queues"])
            look = Look(now, state_of(pulse["pid"], pulse["start"]), backlog, self.memory["broker_since"])
            self.treat(pulse, look, known)
        self.memory["looked"] = time.time()
        self.save()

    def treat(self, pulse: dict[str, t.Any], look: Look, known: dict[str, t.Any]) -> None:
        """Judge one node and restart it where it hangs."""
        node, base = pulse["node"], os.path.join(self.settings["pulse_directory"], pulse["node"])
        stopping = read_note(f"{base}.stop")
        draining = (stopping.get("pid"), stopping.get("start")) == (pulse["pid"], pulse["start"])
        if known.get("asked") is not None:
            if look.now - known["asked"] > self.settings["stop_timeout_seconds"]:
                print(f"{node} does not stop, process {pulse['pid']} is killed", flush=True)
                kill(pulse)
            return
        if draining and look.state != "T":
            return
        known.update(progress(pulse, look, known, self.settings["overdue_margin_seconds"]))
        reason = judge(pulse, look, known, self.settings["threshold_seconds"], self.settings["overdue_margin_seconds"])
        if not reason:
            return
        waiting = "an unknown number of" if look.backlog is None else look.backlog
        print(
            f"{node} hangs ({reason}): last sign {look.now - pulse['beat']:.0f} s ago, {pulse['taken']} of {pulse['places']} places taken, "
            f"{pulse['finished']} tasks finished, {waiting} messages waiting; stacks of its processes follow",
            flush=True,
        )
        print(dump(pulse, f"{base}.stacks", look.state) or "no stacks were written", flush=True)
        if reason in ("stopped", "stuck"):
            print(f"{node}: process {pulse['pid']} is killed, its manager starts it again", flush=True)
            kill(pulse)
        else:
            print(f"{node}: process {pulse['pid']} is asked to drain, its manager starts it again", flush=True)
            send(pulse["pid"], pulse["start"], signal.SIGTERM)
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
