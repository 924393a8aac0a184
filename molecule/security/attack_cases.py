"""Attack cases: attempts to get in from six positions, how the cluster refuses each, and who may do the same.

Each attempt is a shell script for a place of the lab, with the functions and variables that tests/test_attack_cases.py puts before it:
addresses, names, and every password, so that a password alone is never what keeps somebody out of a closed port.
`tools/docs.py` writes the table of SECURITY.md from here; it needs nothing but this file.
"""

from __future__ import annotations

import dataclasses
import typing as t

POSITIONS = {
    "outside": "A host outside the cluster",
    "other": "A worker of another environment",
    "worker": "A worker of the same environment",
    "monitoring": "A monitoring host",
    "user": "An unprivileged user on a worker host",
    "producer": "A program that sends to another environment",
}


class Access(t.NamedTuple):
    """Who tries what, and what the answer must contain (a regular expression)."""

    place: str
    script: str
    answer: str


@dataclasses.dataclass(frozen=True)
class AttackCase:
    name: str
    position: str
    aim: str
    # What stands in the way.
    measure: str
    attempt: Access
    legitimate: Access
    # What must be switched on for it: tls or firewall.
    needs: str = ""

    @property
    def id(self) -> str:
        return f"{self.position}-{self.name}"


# Answers of those who refuse.
CLOSED = r"Connection refused"
NO_RIGHT = r"NOPERM"
WRONG = r"WRONGPASS"
NO_LOGIN = r"NOAUTH"
NOT_READABLE = r"Permission denied"
NOT_LOGGED_IN = r"HTTP/1\.[01] 401"
FORBIDDEN = r"HTTP/1\.[01] 403"
FOUND = r"HTTP/1\.[01] 200"
NO_CERTIFICATE = r"alert (certificate required|handshake failure)"
UNKNOWN_CA = r"alert unknown ca"
OLD_TLS = r"alert protocol version"
NO_SSH = r"Permission denied \(publickey\)"

# How a place is reached: of the lab, or a container beside it.
PLACES = {
    "outside": ("outside", "root"),
    "other": ("worker", "celery"),
    "worker": ("worker", "celery"),
    "worker_root": ("worker", "root"),
    "user": ("worker", "nobody"),
    "producer": ("worker", "celery"),
    "monitoring": ("monitor", "root"),
    "broker": ("broker", "root"),
    "operator": ("control", ""),
}

# Who may do it, where several attempts aim at the same.
PING = Access("worker", 'redis "$prod_user" "$prod_password" PING', r"PONG")
MASTER = Access("worker", 'sentinel "$client_user" "$client_password" SENTINEL get-master-addr-by-name "$master_name"', r"\+OK[\s\S]*\d+\.\d+\.\d+\.\d+")
PAGE = Access("outside", 'https "$monitor" 443 /prometheus/api/v1/query?query=up "$proxy_user:$proxy_password"', FOUND)
LOGIN = Access("operator", 'ssh -F "$ssh_config" "$worker_name" echo in', r"^in$")
ADMIN = Access("broker", 'redis "$admin_user" "$admin_password" CONFIG GET maxmemory-policy', r"noeviction")
SENTINEL_ADMIN = Access("broker", 'sentinel "$sentinel_admin_user" "$sentinel_admin_password" SENTINEL CONFIG GET "*"', r"resolve-hostnames")
ALERTMANAGER = Access("monitoring", 'tls_hello "$monitor" 9094', r"Verif(y return code: 0|ication: OK)")
EXPORTED = Access("monitoring", 'https "$worker" 9100 /metrics "$node_user:$node_password"', FOUND)


def redis(position: str, name: str, aim: str, command: str, answer: str, *, measure: str = "ACL of Redis", by: Access | None = None) -> AttackCase:
    """One command as the user that a position has, and the same as the user whose business it is."""
    users = {
        "other": ('redis "$other_user" "$other_password"', "worker"),
        "worker": ('redis "$prod_user" "$prod_password"', "worker"),
        "monitoring": ('redis "$monitoring_user" "$monitoring_password"', "monitoring"),
        "producer": ('redis "$producer_user" "$producer_password"', "producer"),
    }
    login, place = users[position]
    allowed = by or Access("worker", f'redis "$prod_user" "$prod_password" {command}', r"\+OK\s+[+:*$]")
    return AttackCase(name, position, aim, measure, Access(place, f"{login} {command}", answer), allowed)


def watcher(name: str, aim: str, command: str, *, by: Access | None = None) -> AttackCase:
    """One command as the user whom the exporters and Flower of a monitoring host log in as, by their own files."""
    allowed = by or Access("worker", f'redis "$prod_user" "$prod_password" {command}', r"\+OK\s+[+:*$]")
    return AttackCase(name, "monitoring", aim, "ACL of Redis", Access("monitoring", f"redis_as_configured {command}", NO_RIGHT), allowed)


def as_producer(name: str, aim: str, command: str) -> AttackCase:
    """One command as a producer, who may do something else, and the same as the workers of the environment that it sends to."""
    allowed = Access("other", f'redis "$other_user" "$other_password" {command}', r"\+OK\s+[+:*$]")
    return redis("producer", name, aim, command, NO_RIGHT, by=allowed)


def closed(name: str, aim: str, host: str, port: str, by: Access, measure: str = "firewall", position: str = "outside") -> AttackCase:
    """A port that does not answer at all."""
    needs = {"firewall": "firewall", "no such port": "tls"}.get(measure, "")
    return AttackCase(name, position, aim, measure, Access(position, f'connect "${host}" {port}', CLOSED), by, needs)


def file(
    name: str, aim: str, script: str, by: Access, answer: str = NOT_READABLE, position: str = "user", measure: str = "owner and mode", needs: str = ""
) -> AttackCase:
    return AttackCase(name, position, aim, measure, Access(position, script, answer), by, needs)


ATTACK_CASES = [
    # --- A host outside the cluster, with every password and without a certificate ---
    closed("redis", "speak with Redis", "master", '"$broker_port"', PING),
    closed("redis_plain", "speak with Redis without TLS", "master", "6379", PING, "no such port"),
    closed("sentinel", "ask Sentinel for the master", "master", '"$sentinel_port"', MASTER),
    closed("node_exporter", "read the metrics of a host", "worker", "9100", EXPORTED),
    closed("alertmanagers", "join the cluster of the Alertmanagers", "monitor", "9094", ALERTMANAGER),
    closed(
        "prometheus", "reach Prometheus past its proxy", "monitor", "9090",
        Access("monitoring", "http 127.0.0.1 9090 /prometheus/-/ready", FOUND), "listens on the host itself alone",
    ),
    closed(
        "alertmanager", "reach Alertmanager past its proxy", "monitor", "9093",
        Access("monitoring", "http 127.0.0.1 9093 /alertmanager/-/ready", FOUND), "listens on the host itself alone",
    ),
    closed(
        "flower", "reach Flower past its proxy", "monitor", "5555",
        Access("outside", 'https "$monitor" 443 /flower/ "$proxy_user:$proxy_password"', FOUND), "listens on the host itself alone",
    ),
    closed(
        "redis_exporter", "have the exporter of Redis log in somewhere", "monitor", "9121",
        Access("monitoring", "http 127.0.0.1 9121 /metrics", FOUND), "listens on the host itself alone",
    ),
    closed(
        "celery_exporter", "read the metrics of Celery", "monitor", "9808",
        Access("monitoring", "http 127.0.0.1 9808 /metrics", FOUND), "listens on the host itself alone",
    ),
    AttackCase(
        "pages", "outside", "read the pages without a password", "password of the proxy",
        Access("outside", 'https "$monitor" 443 /prometheus/api/v1/query?query=up', NOT_LOGGED_IN), PAGE,
    ),
    AttackCase(
        "pages_password", "outside", "read the pages with another password of the cluster", "password of the proxy",
        Access("outside", 'https "$monitor" 443 / "$proxy_user:$node_password"', NOT_LOGGED_IN), PAGE,
    ),
    AttackCase(
        "quit", "outside", "stop Prometheus with the password of the pages", "proxy forbids it to everybody",
        Access("outside", 'https "$monitor" 443 /prometheus/-/quit "$proxy_user:$proxy_password" POST', FORBIDDEN), PAGE,
    ),
    AttackCase(
        "old_tls", "outside", "have the proxy speak TLS 1.1", "TLS 1.2 and 1.3 only",
        Access("outside", 'certificate= ; tls_hello "$monitor" 443 -tls1_1 -cipher DEFAULT@SECLEVEL=0', OLD_TLS),
        Access("outside", 'certificate= ; tls_hello "$monitor" 443 -tls1_2', r"Protocol *: TLSv1\.2"),
    ),
    AttackCase(
        "ssh", "outside", "log in by ssh as the user of the workers", "no password, no key, no shell",
        Access("outside", 'login celery "$worker"', NO_SSH), LOGIN,
    ),
    # --- A worker of another environment on the same brokers, with its certificate and its own user ---
    redis("other", "read_queue", "read the tasks of a queue", 'LRANGE "${prefix}default" 0 -1', NO_RIGHT),
    redis("other", "send_task", "send a task", 'LPUSH "${prefix}attack_case" task', NO_RIGHT),
    redis("other", "read_result", "read a result", 'GET "${prefix}celery-task-meta-1"', NO_RIGHT),
    redis("other", "read_schedule", "read the schedule", 'SMEMBERS "${prefix}redbeat::statics"', NO_RIGHT),
    redis(
        "other", "remote_control", "send remote control to the workers", 'PUBLISH "${prefix}/$vhost.celery.pidbox" none', NO_RIGHT,
        by=Access("worker", '"celery-$app" inspect ping --timeout=3', "pong"),
    ),
    redis("other", "events", "listen to the events of the workers", 'PSUBSCRIBE "${prefix}/$vhost.celeryev/worker.*"', NO_RIGHT),
    redis(
        "other", "script", "read a queue inside a script",
        """EVAL '"return redis.call(\\"LLEN\\", KEYS[1])"' 1 "${prefix}default\"""", NO_RIGHT,
    ),
    redis(
        "other", "keys", "list the keys of all environments", 'KEYS "*"', NO_RIGHT,
        by=Access("broker", 'redis "$admin_user" "$admin_password" DBSIZE', r":\d+"),
    ),
    redis(
        "other", "empty", "empty the database", "FLUSHDB", NO_RIGHT,
        by=Access("worker", 'redis "$prod_user" "$prod_password" DEL "${prefix}attack_case"', r":\d"),
    ),
    AttackCase(
        "login", "other", "log in as the other environment with its own password", "password of each environment",
        Access("other", 'redis "$prod_user" "$other_password" PING', WRONG), PING,
    ),
    # --- A worker of the same environment, as the user of its tasks ---
    redis(
        "worker", "sensitive", "read the tasks of the sensitive workers", 'LRANGE "${other_prefix}sensitive" 0 -1', NO_RIGHT,
        by=Access("other", 'redis "$other_user" "$other_password" LRANGE "${other_prefix}sensitive" 0 -1', r"\+OK\s+\*"),
    ),
    redis(
        "worker", "sensitive_send", "send a task to the sensitive workers", 'LPUSH "${other_prefix}attack_case" task', NO_RIGHT,
        by=Access("producer", 'redis "$producer_user" "$producer_password" LPUSH "${other_prefix}attack_case" task', r"\+OK\s+:\d"),
    ),
    redis("worker", "config", "change the configuration of Redis", "CONFIG SET maxmemory-policy allkeys-lru", NO_RIGHT, by=ADMIN),
    redis(
        "worker", "acl", "give itself more rights", 'ACL SETUSER "$prod_user" +@all', NO_RIGHT,
        by=Access("broker", 'redis "$admin_user" "$admin_password" ACL WHOAMI', "admin"),
    ),
    redis("worker", "replicaof", "turn the master into a replica of its own host", 'REPLICAOF "$worker" 6379', NO_RIGHT, by=ADMIN),
    redis("worker", "monitor", "watch the commands of all others", "MONITOR", NO_RIGHT, by=ADMIN),
    redis("worker", "kill", "cut off the other clients", "CLIENT KILL TYPE normal", NO_RIGHT, by=ADMIN),
    redis("worker", "shutdown", "stop Redis", "SHUTDOWN NOSAVE", NO_RIGHT, by=ADMIN),
    redis("worker", "module", "load code into Redis", "MODULE LOAD /tmp/module.so", r"NOPERM|MODULE command not allowed", by=ADMIN),
    AttackCase(
        "no_login", "worker", "use Redis without a user", "user default is off",
        Access("worker", 'redis_anonymous PING', NO_LOGIN), PING,
    ),
    AttackCase(
        "admin", "worker", "log in as administrator with the environment's password", "password of each user",
        Access("worker", 'redis "$admin_user" "$prod_password" PING', WRONG), ADMIN,
    ),
    AttackCase(
        "failover", "worker", "have Sentinel elect another master", "ACL of Sentinel",
        Access("worker", 'sentinel "$client_user" "$client_password" SENTINEL FAILOVER "$master_name"', NO_RIGHT), SENTINEL_ADMIN,
    ),
    AttackCase(
        "watch", "worker", "have Sentinel watch a master of its own", "ACL of Sentinel",
        Access("worker", 'sentinel "$client_user" "$client_password" SENTINEL MONITOR own "$worker" 6379 1', NO_RIGHT), SENTINEL_ADMIN,
    ),
    closed("plain", "speak with Redis without TLS", "master", "6379", PING, "no such port", position="worker"),
    closed("alertmanagers", "join the cluster of the Alertmanagers", "monitor", "9094", ALERTMANAGER, position="worker"),
    closed("metrics", "read the metrics of a broker", "master", "9100", EXPORTED, position="worker"),
    AttackCase(
        "old_tls", "worker", "have Redis speak TLS 1.1", "TLS 1.2 and 1.3 only",
        Access("worker", 'tls_hello "$master" "$broker_port" -tls1_1 -cipher DEFAULT@SECLEVEL=0', OLD_TLS), PING, "tls",
    ),
    AttackCase(
        "ssh", "worker", "go on to a broker by ssh", "no password, no key, no shell",
        Access("worker", 'login redis "$master"', NO_SSH), LOGIN,
    ),
    file(
        "code", "change the code that workers run", 'cd "/opt/celery/$app/current/" && touch attack_case', position="worker",
        by=Access("worker_root", 'cd "/opt/celery/$app/current/" && touch attack_case && rm attack_case && echo written', "written"),
    ),
    file(
        "settings", "change the configuration of the workers", 'echo >> "/etc/celery/$app/celeryconfig.py"', position="worker",
        by=Access("worker", 'head -c 1 "/etc/celery/$app/celeryconfig.py" >/dev/null && echo read', "read"),
    ),
    file(
        "environment", "change the variables that the workers start with", 'echo >> "/etc/celery/$app/env"', position="worker",
        by=Access("worker", 'grep -c "^MULTINODE_" "/etc/celery/$app/env"', r"^[2-9]"),
    ),
    file(
        "unit", "write a unit that runs as root", "touch /etc/systemd/system/attack_case.service", position="worker",
        by=Access("worker_root", "test -w /etc/systemd/system && echo writable", "writable"),
    ),
    # --- A monitoring host, as root, with what is kept there ---
    watcher("send_task", "send a task", 'LPUSH "${prefix}attack_case" task'),
    watcher("take_task", "take a task from its queue", 'BRPOP "${prefix}attack_case" 0.1'),
    watcher("delete_queue", "delete a queue", 'DEL "${prefix}attack_case"'),
    watcher("read_result", "read a result", 'GET "${prefix}celery-task-meta-1"'),
    watcher(
        "read_queue", "read the tasks of another environment", 'LRANGE "${other_prefix}sensitive" 0 -1',
        by=Access("other", 'redis "$other_user" "$other_password" LRANGE "${other_prefix}sensitive" 0 -1', r"\+OK\s+\*"),
    ),
    AttackCase(
        "login", "monitoring", "log in as the workers do with what its files hold", "password of each user",
        Access("monitoring", '. "/etc/celery/$app/env"; redis "$prod_user" "$MULTINODE_REDIS_PASSWORD" PING', WRONG), PING,
    ),
    redis(
        "monitoring", "arguments", "read slow commands with their arguments", "SLOWLOG GET", NO_RIGHT,
        by=Access("monitoring", 'redis "$monitoring_user" "$monitoring_password" SLOWLOG LEN', r":\d"),
    ),
    redis(
        "monitoring", "config", "read the configuration of Redis", "CONFIG GET masterauth", NO_RIGHT,
        by=Access("monitoring", 'redis "$monitoring_user" "$monitoring_password" INFO server', "redis_version"),
    ),
    redis(
        "monitoring", "users", "read the users of Redis", "ACL LIST", NO_RIGHT,
        by=Access("broker", 'redis "$admin_user" "$admin_password" ACL USERS', "replica"),
    ),
    redis(
        "monitoring", "replicate", "fetch all data as a replica would", "PSYNC ? -1", NO_RIGHT,
        by=Access("broker", 'redis "$replica_user" "$replica_password" REPLCONF listening-port 6379', r"\+OK\s+\+OK"),
    ),
    AttackCase(
        "admin", "monitoring", "log in as administrator with the exporter's password", "password of each user",
        Access("monitoring", 'redis "$admin_user" "$monitoring_password" PING', WRONG), ADMIN,
    ),
    AttackCase(
        "failover", "monitoring", "have Sentinel elect another master", "ACL of Sentinel",
        Access("monitoring", 'sentinel "$client_user" "$client_password" SENTINEL FAILOVER "$master_name"', NO_RIGHT), SENTINEL_ADMIN,
    ),
    AttackCase(
        "ssh", "monitoring", "log in on a worker host as root", "no password, no key",
        Access("monitoring", 'login root "$worker"', NO_SSH), LOGIN,
    ),
    # --- An unprivileged user on a worker host, who knows the passwords ---
    AttackCase(
        "redis", "user", "speak with Redis", "certificate of the client",
        Access("user", 'certificate= ; redis "$prod_user" "$prod_password" PING', NO_CERTIFICATE), PING, "tls",
    ),
    AttackCase(
        "sentinel", "user", "ask Sentinel for the master", "certificate of the client",
        Access("user", 'certificate= ; sentinel "$client_user" "$client_password" PING', NO_CERTIFICATE), MASTER, "tls",
    ),
    AttackCase(
        "custom_certificate", "user", "speak with Redis with a certificate of another CA", "certificate of the client",
        Access("user", 'make_certificate && redis "$prod_user" "$prod_password" PING', UNKNOWN_CA), PING, "tls",
    ),
    file(
        "key", "read the key of the host", 'cat "$tls_key"',
        by=Access("worker", 'openssl pkey -in "$tls_key" -noout && echo read', "read"), needs="tls",
    ),
    file(
        "passwords", "read the passwords of the environment", 'cat "/etc/celery/$app/env"',
        by=Access("worker", 'grep -c "^MULTINODE_" "/etc/celery/$app/env"', r"^[2-9]"),
    ),
    file(
        "process", "read the environment of a running worker", 'cat "/proc/$worker_process/environ"', measure="processes of another user",
        by=Access("worker_root", 'wc -c <"/proc/$worker_process/environ"', r"^[1-9]"),
    ),
    file(
        "signal", "end a running worker", 'kill -TERM "$worker_process"',
        by=Access("worker", 'kill -0 "$worker_process" && echo may', "may"), answer=r"[Oo]peration not permitted", measure="processes of another user",
    ),
    file(
        "service", "stop a worker through systemd", 'systemctl --no-ask-password stop "$worker_unit"', measure="systemd asks for an administrator",
        by=Access("worker_root", 'systemctl is-active "$worker_unit"', "^active"), answer=r"[Aa]uthentication required|Access denied",
    ),
    file(
        "code", "change the code that workers run", 'cd "/opt/celery/$app/current/" && touch attack_case',
        by=Access("worker_root", 'cd "/opt/celery/$app/current/" && touch attack_case && rm attack_case && echo written', "written"),
    ),
    file(
        "logs", "read the logs of the workers, which name the tasks", "cat /var/log/celery/*.log /var/log/celery",
        by=Access("worker", "cat /var/log/celery/*.log | grep -c .", r"^[1-9]"),
    ),
    file(
        "journal", "read the journal of the services", "journalctl --no-pager -n 5 -u celery-*", measure="groups of the journal",
        by=Access("worker_root", "journalctl --no-pager -q -n 1 | wc -l", r"^1"),
        answer=r"insufficient permissions|No journal files were opened|No entries",
    ),
    file(
        "drain", "keep the workers of the host stopped", "touch /etc/celery/drained",
        by=Access("worker_root", "test -w /etc/celery && echo writable", "writable"),
    ),
    AttackCase(
        "metrics", "user", "read the metrics of its own host", "password of the exporter",
        Access("user", 'certificate= ; https "$worker" 9100 /metrics', NOT_LOGGED_IN), EXPORTED,
    ),
    file(
        "heartbeats", "read what each worker runs", "cat /var/lib/celery/heartbeat/* /var/lib/celery/drain",
        by=Access("worker", "cat /var/lib/celery/heartbeat/* | grep -c .", r"^[1-9]"),
    ),
    file(
        "command", "control the workers with the command that is installed there", '"celery-$app" inspect ping --timeout=3',
        by=Access("worker", '"celery-$app" inspect ping --timeout=3', "pong"),
    ),
    file(
        "sudo", "become root", "sudo -n id",
        by=Access("operator", 'ssh -F "$ssh_config" "$worker_name" sudo -n id -u', "^0$"),
        answer=r"password is required|not allowed", measure="sudo's rules",
    ),
    # --- A program that may put tasks into the queues of another environment, and no more ---
    as_producer("read_queue", "read the tasks of a queue", 'LRANGE "${other_prefix}attack_case" 0 -1'),
    as_producer("take_task", "take a task from its queue", 'BRPOP "${other_prefix}attack_case" 0.1'),
    as_producer("held", "read what workers hold", 'HGETALL "${other_prefix}unacked"'),
    as_producer("read_result", "read a result", 'GET "${other_prefix}celery-task-meta-1"'),
    as_producer("remote_control", "send remote control to the workers", 'PUBLISH "${other_prefix}/$other_vhost.celery.pidbox" none'),
    as_producer("delete_queue", "delete a queue", 'DEL "${other_prefix}attack_case"'),
]


def table() -> list[str]:
    """The lines of SECURITY.md's table: what is tried from each position, by what keeps it out."""
    lines = ["| From | Kept out by | Tries to |", "| --- | --- | --- |"]
    for position, where in POSITIONS.items():
        aims: dict[str, list[str]] = {}
        for case in ATTACK_CASES:
            if case.position == position:
                aims.setdefault(case.measure, []).append(case.aim)
        lines += [f"| {where} | {measure} | {'; '.join(tried)} |" for measure, tried in aims.items()]
    return lines
