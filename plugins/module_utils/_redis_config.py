# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import shlex

# Directives that Redis 7 and 8 refuse to change at run time, or change only where protected settings are enabled.
IMMUTABLE = frozenset(
    """
    aclfile aof_rewrite_cpulist appenddirname appendfilename bgsave_cpulist bio_cpulist cluster-config-file cluster-enabled
    cluster-port daemonize databases dbfilename dir disable-thp enable-debug-command enable-module-command
    enable-protected-configs io-threads io-threads-do-reads logfile pidfile rdbchecksum server_cpulist socket-mark-id supervised
    syslog-enabled syslog-facility syslog-ident tcp-backlog unixsocket unixsocketperm always-show-logo
    """.split()
)
# Directives that are instructions to the parser or belong to the running server, and are no settings to compare.
SKIPPED = frozenset("include loadmodule rename-command user replicaof slaveof sentinel".split())
SECRET = frozenset("masterauth requirepass tls-key-file-pass tls-client-key-file-pass auth-pass sentinel-pass".split())

_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3}
_NUMBER = re.compile(r"^(-?\d+)([a-z]*)$")
_CLASSES = {"replica": "slave"}


def parse_config(text: str) -> dict[str, str]:
    """Return the settings of a Redis configuration file; the last line of a name wins, as in Redis."""
    settings: dict[str, str] = {}
    buffers: list[str] = []
    saves: list[str] = []
    for line in text.splitlines():
        words = shlex.split(line, comments=False) if line.strip() and not line.lstrip().startswith("#") else []
        if not words or words[0].lower() in SKIPPED:
            continue
        name, value = words[0].lower(), " ".join(words[1:])
        if name == "client-output-buffer-limit":
            buffers += words[1:]
        elif name == "save":
            saves = [*saves, value] if value else []
            settings[name] = " ".join(saves)
        else:
            settings[name] = value
    if buffers:
        settings["client-output-buffer-limit"] = " ".join(buffers)
    return settings


def number(value: str) -> str:
    """Return a size or number in plain digits, and anything else as it is."""
    match = _NUMBER.match(value.strip().lower())
    if not match or match.group(2) not in _UNITS:
        return value
    return str(int(match.group(1)) * _UNITS[match.group(2)])


def buffer_limits(value: str) -> dict[str, tuple[str, ...]]:
    """Return the limits of C(client-output-buffer-limit) by class of client."""
    words = value.split()
    rows = (words[index : index + 4] for index in range(0, len(words), 4))
    return {_CLASSES.get(row[0].lower(), row[0].lower()): tuple(number(word) for word in row[1:]) for row in rows if row}


def same(name: str, wanted: str, live: str) -> bool:
    """Tell whether a wanted value and the one that Redis reports mean the same."""
    if name == "client-output-buffer-limit":
        current = buffer_limits(live)
        return all(current.get(kind) == limits for kind, limits in buffer_limits(wanted).items())
    if wanted == live:
        return True
    if name in SECRET:
        return False
    return number(wanted).lower() == number(live).lower()


def config_diff(wanted: dict[str, str], live: dict[str, str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Compare settings.

    :returns: what to set at run time, what needs a restart, and names that this Redis does not know.
    """
    live_changes: dict[str, str] = {}
    restart_changes: dict[str, str] = {}
    unknown: list[str] = []
    for name, value in wanted.items():
        if name not in live:
            unknown.append(name)
        elif not same(name, value, live[name]):
            (restart_changes if name in IMMUTABLE else live_changes)[name] = value
    return live_changes, restart_changes, unknown


def setting_lines(settings: dict[str, str]) -> str:
    """Return settings of Redis or Sentinel as text for a diff, without secrets."""
    return "".join(f"{name} {'...' if name in SECRET else value}\n" for name, value in sorted(settings.items()))


def immutable_name(error: str) -> str:
    """Return the setting that a CONFIG SET error calls immutable or protected, or nothing for any other error."""
    match = re.search(r"argument '([^']+)'.*can't set (?:immutable|protected) config", error)
    return match.group(1) if match else ""


def parse_sentinel_state(text: str, name: str) -> dict[str, str]:
    """Return what a Sentinel's state file holds about one master, by option."""
    settings = {}
    for line in text.splitlines():
        words = shlex.split(line) if line.lower().startswith("sentinel ") else []
        if len(words) >= 4 and words[2] == name:
            settings[words[1].lower()] = words[3]
    return settings
