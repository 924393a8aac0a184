# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reach the hosts of a lab from the control machine: run, kill, cut off, hang, revive, and read their logs.

Hosts are containers called <lab>-<host> on the network <lab>. Everything goes through the Docker command line,
which also reaches a host whose network is gone.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import ROOT
from lab.accounting import Execution, parse_log
from lab.playbooks import environment, program, run_playbook

AGENT = Path(__file__).with_name("agent.py")
APP = "proj"


def progress(text: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Program:
    """A program on a host whose lines are collected while it runs."""

    def __init__(self, command: list[str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.readers = [threading.Thread(target=self._read, daemon=True)]
        self.errors: list[str] = []
        self.readers.append(threading.Thread(target=self._read_errors, daemon=True))
        for reader in self.readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)

    def _read_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.errors.append(line)

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.lines) if line.startswith("{") and line.endswith("}\n")]

    def close(self) -> None:
        """Ask the program to end."""
        assert self.process.stdin
        self.process.stdin.close()

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for reader in self.readers:
            reader.join(5)
        if self.process.returncode and not self.lines:
            raise RuntimeError("".join(self.errors)[-2000:])
        return self.records()


class Lab:
    """The containers of one lab and the groups of the inventory that it was made for."""

    def __init__(self, name: str, *inventories: str) -> None:
        self.name = name
        self.sources = [*inventories, f".lab/{name}/inventory"]
        self.inventories = [word for path in self.sources for word in ("-i", path)]
        self.reload()

    def reload(self) -> None:
        """Read the inventory, also anew where a playbook has changed it."""
        listing = json.loads(
            subprocess.run(
                [program("ansible-inventory"), *self.inventories, "--list"],
                cwd=ROOT, env=environment(), check=True, capture_output=True, text=True,
            ).stdout
        )
        self.hostvars = listing["_meta"]["hostvars"]
        self.listing = listing

    def group(self, name: str) -> list[str]:
        """Hosts of a group and of its children."""
        entry = self.listing.get(name, {})
        hosts = list(entry.get("hosts", []))
        for child in entry.get("children", []):
            hosts += [host for host in self.group(child) if host not in hosts]
        return hosts

    def address(self, host: str) -> str:
        return self.hostvars[host]["ansible_host"]

    def host_at(self, address: str) -> str:
        return next(host for host in self.hostvars if self.hostvars[host].get("ansible_host") == address)

    def container(self, host: str) -> str:
        return f"{self.name}-{host}"

    def playbook(self, path: str | Path, *arguments: str, check: bool = True, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook on this lab."""
        return run_playbook(path, *arguments, check=check, inventories=self.sources, **variables)

    @staticmethod
    def docker(*arguments: str, check: bool = True) -> str:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def run(self, host: str, command: str, check: bool = True) -> str:
        return self.docker("exec", self.container(host), "sh", "-c", command, check=check)

    # --- faults ---

    def kill(self, host: str) -> None:
        self.docker("kill", self.container(host))

    def start(self, host: str) -> None:
        self.docker("start", self.container(host))

    def cut(self, host: str) -> None:
        self.docker("network", "disconnect", self.name, self.container(host))

    def join(self, host: str) -> None:
        self.docker("network", "connect", "--ip", self.address(host), "--alias", host, self.name, self.container(host))

    def signal_brokers(self, host: str, signal: str) -> None:
        """Both processes in one call; systemd knows their main processes."""
        self.run(host, f"systemctl kill --kill-whom=main --signal={signal} redis-broker-sentinel.service redis-broker.service")

    def heal(self) -> None:
        """Start every host that a test which failed half-way left stopped."""
        for host in self.group("all"):
            state = json.loads(self.docker("inspect", self.container(host)))[0]
            if not state["State"]["Running"]:
                self.start(host)
            if self.name not in state["NetworkSettings"]["Networks"]:
                self.join(host)
        for host in self.group("brokers"):
            # Where its systemd is not up yet nothing is stopped.
            with contextlib.suppress(RuntimeError):
                self.signal_brokers(host, "SIGCONT")

    # --- brokers ---

    def sentinel_master(self) -> str:
        """The host that most Sentinels name as master; asked inside each host with the client's own account."""
        answers = [self.master_seen_by(host) for host in self.group("brokers")]
        named = [answer for answer in answers if answer]
        best = max(set(named), key=named.count, default="")
        if named.count(best) <= len(answers) // 2:
            raise RuntimeError(f"no majority of Sentinels: {answers}")
        return self.host_at(best)

    def master_seen_by(self, host: str) -> str:
        secret = self.secret("vault_sentinel_client_password")
        answer = self.run(
            host,
            f"REDISCLI_AUTH='{secret}' timeout 2 redis-cli --no-auth-warning --user celery {self.cli_options(host, self.sentinel_port)} "
            "sentinel get-master-addr-by-name celery 2>/dev/null | head -1",
            check=False,
        ).strip()
        return answer if answer.count(".") == 3 else ""

    @property
    def tls(self) -> bool:
        """Whether the brokers speak TLS alone; the roles' default where the inventory sets nothing."""
        return self.hostvars[self.group("brokers")[0]].get("cluster_tls_enabled", True)

    @property
    def sentinel_port(self) -> int:
        """The port of Sentinel; the roles' default where the inventory sets nothing."""
        return int(self.hostvars[self.group("brokers")[0]].get("cluster_sentinel_port", 26379))

    def cli_options(self, host: str, port: int = 0) -> str:
        """The options with which redis-cli reaches a broker from one."""
        files = "--tls --cacert /etc/multinode-tls/ca.pem --cert /etc/multinode-tls/host.pem --key /etc/multinode-tls/host.key"
        return f"-h {self.address(host)} -p {port or (6380 if self.tls else 6379)}" + (f" {files}" if self.tls else "")

    def secret(self, name: str) -> str:
        return self.hostvars[self.group("brokers")[0]][name]

    def redis(self, host: str, command: str) -> str:
        secret = self.secret("vault_redis_admin_password")
        return self.run(
            host,
            f"REDISCLI_AUTH='{secret}' timeout 3 redis-cli --no-auth-warning --user admin {self.cli_options(host)} {command}",
            check=False,
        )

    def is_replica(self, host: str) -> bool:
        answer = self.redis(host, "info replication")
        return "role:slave" in answer and "master_link_status:up" in answer

    # --- the agent ---

    def agent_command(self, host: str, *arguments: str) -> list[str]:
        launcher = f"/opt/celery/{APP}/current/venv/bin/python /var/tmp/agent.py"
        return [
            "docker", "exec", "--interactive", "--user", "celery", "--env", f"PYTHONPATH=/etc/celery/{APP}",
            "--env", "CELERY_CONFIG_MODULE=celeryconfig", "--workdir", "/var/tmp",
            self.container(host), *launcher.split(), *arguments,
        ]

    def install_agent(self, host: str) -> None:
        subprocess.run(
            ["docker", "exec", "-i", self.container(host), "sh", "-c", "cat > /var/tmp/agent.py && chmod 0644 /var/tmp/agent.py"],
            input=AGENT.read_text(), text=True, check=True,
        )

    def agent(self, host: str, *arguments: str) -> Program:
        return Program(self.agent_command(host, *arguments))

    def ask(self, host: str, *arguments: str, seconds: float = 60) -> dict[str, Any]:
        """A subcommand that answers with one line."""
        records = self.agent(host, *arguments).wait(seconds)
        return records[-1] if records else {}

    @property
    def scheduler(self) -> str:
        """The host that tasks are sent from."""
        return self.group("schedulers")[0]

    def setting(self, name: str) -> Any:
        """A setting of the configuration module as deployed, so that tests follow what was rendered."""
        return self.ask(self.scheduler, "setting", name)["value"]

    def nodes_by_queue(self) -> dict[str, list[str]]:
        """The worker nodes that consume each queue, as they answer themselves."""
        queues: dict[str, list[str]] = {}
        for node, names in sorted(self.ask(self.scheduler, "nodes")["nodes"].items()):
            for name in names:
                queues.setdefault(name, []).append(node)
        return queues

    def nodes_of(self, queue: str) -> list[str]:
        """The worker nodes that consume a queue."""
        return self.nodes_by_queue().get(queue, [])

    def settle(self, queues: list[str], seconds: float) -> dict[str, Any]:
        """Wait until nothing waits in the queues and nothing is unacknowledged, at most so long; what is left then."""
        return self.ask(self.scheduler, "settle", *queues, "--seconds", str(seconds), seconds=seconds + 60)

    # --- logs ---

    def log_files(self, host: str) -> dict[str, str]:
        """Workers' log files by node name; `docker cp` also reads a host that is dead."""
        archive = subprocess.run(
            ["docker", "cp", f"{self.container(host)}:/var/log/celery", "-"], capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            return {
                f"{Path(member.name).stem}@{host}": content.read().decode(errors="replace")
                for member in files.getmembers()
                if member.name.endswith(".log") and (content := files.extractfile(member))
            }

    def executions(self, hosts: list[str] | None = None, event: str = "succeeded") -> list[Execution]:
        return self.events(event, hosts=hosts)

    def events(self, *events: str, hosts: list[str] | None = None) -> list[Execution]:
        """What the workers' logs tell of tasks: received, succeeded, raised or INTERNAL ERROR."""
        return [
            execution
            for host in hosts or self.group("workers")
            for node, text in self.log_files(host).items()
            for execution in parse_log(text, node, *events)
        ]


def wait_until(check: Callable[[], object], seconds: float, step: float = 0.5) -> float | None:
    """Seconds until check() is true, None when it never was."""
    started = time.time()
    while time.time() - started < seconds:
        try:
            if check():
                return time.time() - started
        except (RuntimeError, StopIteration):
            pass
        time.sleep(step)
    return None
