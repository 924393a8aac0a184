# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pool of Celery workers is: its keys, how inputs become a pool, what is wrong with one, and the nodes that it starts.

Filters and preflight use it alike, so that what one accepts the other does not refuse. A value of null is no value: the key is
then not set there.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import re
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils._celery_managers import SERVICE_PREFIX
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import Finding, did_you_mean

POOLS = "celery_worker_pools"
DEFAULTS = "celery_worker_pool_defaults"
OVERRIDES = "celery_worker_pool_overrides"
#: The inputs that pools are made from, the strongest last.
INPUTS = (DEFAULTS, POOLS, OVERRIDES)

PREFORK = "prefork"
SOLO = "solo"
GREENLET_TYPES = ("gevent", "eventlet")
POOL_TYPES = (PREFORK, *GREENLET_TYPES, "threads", SOLO)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
AUTO = "auto"
#: Concurrency `auto` of greenlet pools where nothing else is set.
GREENLETS = 100

POOL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
# It is on command lines and in keys of Redis; a comma would end it.
QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
POOL_NAME_RULE = "a pool's name takes small letters, digits, '-' and '_'"
QUEUE_NAME_RULE = "a queue's name takes letters, digits, '_', '.' and '-'"


class PoolError(ValueError):
    """Pools that cannot be turned into nodes; the message has every problem, one a line."""

    def __init__(self, problems: c.Sequence[Finding]) -> None:
        super().__init__("\n".join(problem.text() for problem in problems))


class Unsound(ValueError):
    """A value that a key cannot have; the message names what it takes."""


def whole(minimum: int) -> t.Callable[[t.Any], int]:
    """Return a reader of whole numbers."""

    def read(value: t.Any) -> int:
        # Jinja may pass "4" where the inventory sets 4 through a template.
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < minimum:
            raise Unsound(f"set a whole number of at least {minimum}")
        return int(text)

    return read


def choice(choices: c.Sequence[str]) -> t.Callable[[t.Any], str]:
    """Return a reader of one of several words."""

    def read(value: t.Any) -> str:
        if value not in choices:
            raise Unsound(f"choose one of {', '.join(choices)}{did_you_mean(str(value), choices)}")
        return str(value)

    return read


def _name(value: t.Any) -> str:
    if isinstance(value, bool) or not POOL_NAME.fullmatch(str(value)):
        raise Unsound(POOL_NAME_RULE)
    return str(value)


def _texts(value: t.Any) -> list[str]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(entry, (str, int, float)) and not isinstance(entry, bool) for entry in value):
        raise Unsound("give a list of texts")
    texts = [str(entry) for entry in value]
    if any("\n" in text for text in texts):
        raise Unsound("none of them can have a line break")
    return texts


def _queues(value: t.Any) -> list[str]:
    queues = _texts(value)
    if not queues:
        raise Unsound("this pool would consume nothing, give a list of at least one queue name")
    if not all(QUEUE_NAME.fullmatch(queue) for queue in queues):
        raise Unsound(QUEUE_NAME_RULE)
    return queues


def _environment(value: t.Any) -> dict[str, str]:
    if not isinstance(value, c.Mapping):
        raise Unsound("give a dictionary of variables and their values")
    variables = {str(key): str(entry) for key, entry in value.items() if entry is not None}
    for name, text in variables.items():
        if not VARIABLE_NAME.fullmatch(name):
            raise Unsound(f"{name!r} is not a name of an environment variable")
        if "\n" in text:
            raise Unsound(f"the value of {name} has a line break")
    return variables


def _concurrency(value: t.Any) -> int | str:
    if isinstance(value, str) and value == AUTO:
        return AUTO
    try:
        return whole(1)(value)
    except Unsound as exc:
        raise Unsound(f"{exc}, or {AUTO}") from exc


def _autoscale(value: t.Any) -> dict[str, int]:
    if not isinstance(value, c.Mapping):
        raise Unsound("give min and max")
    bounds = {str(key): bound for key, bound in value.items() if bound is not None}
    if not bounds:
        return {}
    if set(bounds) != {"min", "max"}:
        raise Unsound("give min and max, or {} for a fixed size")
    found: dict[str, int] = {}
    for key, bound in bounds.items():
        try:
            found[key] = whole(1)(bound)
        except Unsound as exc:
            raise Unsound(f"{key} is {bound!r}, {exc}") from exc
    if found["min"] > found["max"]:
        raise Unsound(f"the least of {found['min']} is above the most of {found['max']}")
    return found


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a pool; `type`, `elements`, `choices` and `options` are those of its argument spec."""

    name: str
    type: str
    read: t.Callable[[t.Any], t.Any]
    #: Its value when nothing sets it.
    default: t.Any = None
    elements: str = ""
    choices: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    inputs: tuple[str, ...] = INPUTS
    #: Option of `celery worker` that gets the value, unless that is 0.
    argument: str = ""
    #: What the option counts in, in units of the key.
    factor: int = 1
    #: Pool types whose nodes get the option.
    pool_types: tuple[str, ...] = POOL_TYPES


def _count(name: str, argument: str = "", factor: int = 1, pool_types: tuple[str, ...] = POOL_TYPES) -> Key:
    return Key(name, "int", whole(0), 0, argument=argument, factor=factor, pool_types=pool_types)


KEYS: tuple[Key, ...] = (
    Key("name", "str", _name, inputs=(POOLS,)),
    Key("queues", "list", _queues, [], elements="str", inputs=(POOLS, OVERRIDES)),
    Key("autoscale", "dict", _autoscale, {}, options=("min", "max")),
    Key("pool", "str", choice(POOL_TYPES), PREFORK, choices=POOL_TYPES),
    Key("concurrency", "str", _concurrency, AUTO),
    Key("instances", "int", whole(1), 1),
    _count("max_tasks_per_child", "--max-tasks-per-child", pool_types=(PREFORK,)),
    _count("max_memory_per_child_mb", "--max-memory-per-child", factor=1024, pool_types=(PREFORK,)),
    _count("memory_max_mb"),
    _count("prefetch_multiplier", "--prefetch-multiplier"),
    _count("time_limit_seconds", "--time-limit"),
    _count("soft_time_limit_seconds", "--soft-time-limit"),
    Key("log_level", "str", choice(LOG_LEVELS), "INFO", choices=LOG_LEVELS),
    Key("options", "list", _texts, [], elements="str"),
    Key("env", "dict", _environment, {}),
)
BUILT_IN = {key.name: key.default for key in KEYS}
# Of a pool, not of each of its nodes.
_NOT_OF_NODES = ("name", "instances")


@dataclasses.dataclass
class _Layer:
    """What one input sets for a pool, without nulls; keys with unsound values are left out and named."""

    values: dict[str, t.Any]
    unsound: set[str]
    problems: list[Finding]


def _read_layer(given: t.Any, source: str, variable: str) -> _Layer:
    layer = _Layer({}, set(), [])

    def problem(check: str, value: str, text: str, remedy: str = "Correct it") -> None:
        layer.problems.append(Finding(f"pool_{check}", variable, value, (), text, remedy))

    if given is None:
        return layer
    if not isinstance(given, c.Mapping):
        problem("type", repr(given), "give a dictionary of keys of a pool")
        return layer
    known = {key.name: key for key in KEYS if source in key.inputs}
    for name, value in given.items():
        key = known.get(name)
        if key is None:
            if source == OVERRIDES and name == "name":
                problem("name", f"name {value!r}", "an override cannot rename a pool", "Remove it")
            elif name in BUILT_IN:
                problem("key", f"key {name!r}", "each pool has its own", "Remove it, and set it in each pool")
            else:
                hint = did_you_mean(str(name), known) or f", only {', '.join(known)}"
                problem("key", f"unknown key {str(name)!r}", f"there is no such key{hint}")
        elif value is not None:
            try:
                layer.values[key.name] = key.read(value)
            except Unsound as exc:
                layer.unsound.add(key.name)
                # What programs get in their environment is nobody else's business.
                shown = "" if key.name == "env" else f" {value!r}"
                problem(key.name, f"{key.name}{shown}", str(exc))
    return layer


def _relations(pool: t.Mapping[str, t.Any], overridden: c.Container[str], unsound: set[str]) -> t.Iterator[Finding]:
    """What is wrong between keys that are sound by themselves."""

    def problem(check: str, keys: c.Iterable[str], value: str, text: str, remedy: str = "Correct it", suffix: str = "") -> t.Iterator[Finding]:
        if not unsound.intersection(keys):
            source = OVERRIDES if any(key in overridden for key in keys) else POOLS
            yield Finding(check, f"{source}[{pool['name']}]{suffix}", value, (), text, remedy)

    kind, hard, soft = pool["pool"], pool["time_limit_seconds"], pool["soft_time_limit_seconds"]
    if not pool["queues"]:
        yield from problem("pool_queues", ["queues"], "no queues", "this pool would consume nothing", "List its queues")
    if kind == SOLO and pool["concurrency"] not in (AUTO, 1):
        yield from problem(
            "pool_solo", ["pool", "concurrency"], f"concurrency {pool['concurrency']}", "a solo pool runs one task at a time"
        )
    if kind != PREFORK and (pool["autoscale"] or any(option.startswith("--autoscale") for option in pool["options"])):
        yield from problem(
            "pool_autoscale", ["pool", "autoscale", "options"], f"pool {kind} with autoscale",
            f"a {kind} pool cannot grow and shrink, autoscale works with prefork only",
            "Remove autoscale of this pool and set its concurrency, or use pool: prefork,",
        )  # fmt: skip
    if hard and soft >= hard:
        yield from problem(
            "time_limits", ["time_limit_seconds", "soft_time_limit_seconds"], str(hard),
            f"the soft time limit of {soft} s is not below it, so no task could end by itself",
            "Set the soft time limit some seconds below the hard one", suffix=".time_limit_seconds",
        )  # fmt: skip


def read_pools(pools: t.Any, defaults: t.Any = None, overrides: t.Any = None) -> tuple[list[dict[str, t.Any]], list[Finding]]:
    """Merge each pool with its defaults and overrides.

    :param pools: value of celery_worker_pools.
    :param defaults: value of celery_worker_pool_defaults.
    :param overrides: value of celery_worker_pool_overrides; pools that are not there are passed over.
    :returns: pools with every key set, where unsound values are left out; and everything that is wrong, without a host.
    """
    lowest = _read_layer(defaults, DEFAULTS, DEFAULTS)
    problems = list(lowest.problems)
    if overrides is not None and not isinstance(overrides, c.Mapping):
        problems.append(Finding("pool_type", OVERRIDES, repr(overrides), (), "give a dictionary of pools and their keys", "Correct it"))
        overrides = None
    if pools is not None and not isinstance(pools, (list, tuple)):
        problems.append(Finding("pool_type", POOLS, repr(pools), (), "give a list of pools", "Correct it"))
        pools = None
    # A pool's name may be a number in one place and a text in the other.
    overrides = {str(name): over for name, over in (overrides or {}).items()}
    found: list[dict[str, t.Any]] = []
    for place, given in enumerate(pools or (), 1):
        if not isinstance(given, c.Mapping):
            text = "a pool is a dictionary with at least a name and queues"
            problems.append(Finding("pool_type", f"{POOLS}[#{place}]", repr(given), (), text, "Correct it"))
            continue
        name = f"#{place}" if given.get("name") is None else str(given["name"])
        own = _read_layer(given, POOLS, f"{POOLS}[{name}]")
        over = _read_layer(overrides.get(name), OVERRIDES, f"{OVERRIDES}[{name}]")
        if given.get("name") is None:
            own.problems.append(Finding("pool_name", f"{POOLS}[{name}]", "no name", (), "each pool has a name", "Name it"))
        # An override replaces the pool's variables, the defaults lie below whichever it is.
        variables = {**lowest.values, **own.values, **over.values}.get("env", {})
        pool = {**BUILT_IN, **lowest.values, **own.values, **over.values, "name": name}
        pool["env"] = {**lowest.values.get("env", {}), **variables}
        problems += own.problems + over.problems
        problems += _relations(pool, over.values, lowest.unsound | own.unsound | over.unsound)
        found.append(pool)
    return found, problems + _shared_names(found)


def _shared_names(pools: c.Iterable[t.Mapping[str, t.Any]]) -> list[Finding]:
    owners: dict[str, list[str]] = {}
    for pool in pools:
        for node in node_names(pool):
            owners.setdefault(node, []).append(pool["name"])
    problems: dict[Finding, None] = {}
    for node, names in owners.items():
        if len(names) > 1:
            same = len(set(names)) == 1
            check, value = ("pool_twice", f"name {names[0]}") if same else ("node_twice", f"node {node}")
            text = "two pools of one host have this name" if same else f"the pools {' and '.join(names)} would both start a node of this name"
            problems[Finding(check, POOLS, value, (), text, "Give each pool its own name")] = None
    return list(problems)


def node_names(pool: t.Mapping[str, t.Any]) -> list[str]:
    """Return the names of a pool's nodes on a host; the first has the pool's own, so that scaling never renames a node."""
    return [pool["name"], *(f"{pool['name']}-{number}" for number in range(2, pool["instances"] + 1))]


def node_rules(hosts: t.Mapping[str, c.Iterable[t.Mapping[str, t.Any]]]) -> list[tuple[str, str]]:
    """Return how to tell the pool of a node from its Celery name, also of a node that was started by hand.

    :param hosts: the pools of each host.
    :returns: regular expressions for whole names, each with its pool; the first that fits holds.
    """
    names = {pool["name"] for pools in hosts.values() for pool in pools}
    # The longest first: a pool's own name, even if it ends in a number, wins over a node of another pool.
    rules = [(rf"{re.escape(name)}(?:-[0-9]+)?@.*", name) for name in sorted(names, key=lambda name: (-len(name), name))]
    nodes = ((f"{node}@{host}", pool["name"]) for host, pools in hosts.items() for pool in pools for node in node_names(pool))
    # One host may have a pool called like a node of another pool elsewhere.
    exceptions = [(re.escape(node), pool) for node, pool in nodes if pool_of_node(node, rules) != pool]
    return exceptions + rules


def pool_of_node(node: str, rules: c.Iterable[tuple[str, str]]) -> str:
    """Return the pool of a node by its Celery name; one that fits no rule is a pool of its own."""
    return next((pool for rule, pool in rules if re.fullmatch(rule, node)), node.partition("@")[0])


def concurrency_of(pool: t.Mapping[str, t.Any], cores: int, greenlet_concurrency: int = GREENLETS) -> int:
    """Return the number of tasks that one node of the pool executes at most at once."""
    kind, wanted = pool["pool"], pool["concurrency"]
    if pool["autoscale"]:
        return int(pool["autoscale"]["max"])
    if wanted != AUTO:
        return int(wanted)
    if kind == SOLO:
        return 1
    return greenlet_concurrency if kind in GREENLET_TYPES else cores


def memory_mb(pool: t.Mapping[str, t.Any], cores: int, child_mb: int) -> int:
    """Return what all nodes of the pool on one host may take: the bound of the nodes, of their children, or an estimate.

    :param cores: processors of the host.
    :param child_mb: estimate for a child without a bound, in MB.
    """
    if pool["memory_max_mb"]:
        return int(pool["memory_max_mb"] * pool["instances"])
    children = concurrency_of(pool, cores) if pool["pool"] == PREFORK else 1
    return int((pool["max_memory_per_child_mb"] or child_mb) * children * pool["instances"])


def _arguments(node: t.Mapping[str, t.Any], events: bool, includes: c.Sequence[str]) -> list[str]:
    arguments = [
        "worker",
        f"--hostname={node['node']}",
        f"--queues={','.join(node['queues'])}",
        f"--pool={node['pool']}",
        f"--loglevel={node['log_level']}",
        f"--logfile={node['log_file']}",
        # Both cost messages that grow with the square of the number of workers; the heartbeat stays.
        "--without-gossip",
        "--without-mingle",
    ]
    if node["autoscale"]:
        arguments.append(f"--autoscale={node['autoscale']['max']},{node['autoscale']['min']}")
    else:
        arguments.append(f"--concurrency={node['concurrency']}")
    for key in KEYS:
        if key.argument and node["pool"] in key.pool_types and node[key.name]:
            arguments.append(f"{key.argument}={node[key.name] * key.factor}")
    if events:
        arguments.append("--events")
    if includes:
        arguments.append(f"--include={','.join(includes)}")
    return arguments + node["options"]


def build_nodes(
    pools: t.Any,
    host: str,
    cores: int,
    defaults: t.Any = None,
    greenlet_concurrency: int = GREENLETS,
    events: bool = False,
    includes: c.Sequence[str] = (),
    log_directory: str = "/var/log/celery",
    overrides: t.Any = None,
    environment_name: str = "",
) -> list[dict[str, t.Any]]:
    """Return the nodes of one host, in the order of its pools.

    :raises PoolError: with everything that is wrong with the pools.
    """
    found, problems = read_pools(pools, defaults, overrides)
    if problems:
        raise PoolError([dataclasses.replace(problem, hosts=(host,)) for problem in problems])
    nodes: list[dict[str, t.Any]] = []
    for pool in found:
        shared = {key: value for key, value in pool.items() if key not in _NOT_OF_NODES}
        shared.update(
            host=host, pool_name=pool["name"], environment_name=environment_name, concurrency=concurrency_of(pool, int(cores), int(greenlet_concurrency))
        )
        for name in node_names(pool):
            node = {**shared, "name": name, "node": f"{name}@{host}", "service": f"{SERVICE_PREFIX}{name}", "log_file": f"{log_directory}/{name}.log"}
            node["arguments"] = _arguments(node, events, includes)
            nodes.append(node)
    return nodes
