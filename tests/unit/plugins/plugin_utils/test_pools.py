# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool is one thing: for the role's spec, for preflight, for the filter, and for who knows only the names of nodes."""

from __future__ import annotations

import pathlib
import random
import typing as t

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible_collections.multinode.celery.plugins.filter.celery_nodes import celery_nodes
from ansible_collections.multinode.celery.plugins.filter.service_command import service_command
from ansible_collections.multinode.celery.plugins.filter.service_environment import service_environment
from ansible_collections.multinode.celery.plugins.plugin_utils import pools, preflight, preflight_workers

SPEC_FILE = pathlib.Path(__file__).resolve().parents[4] / "roles/celery_worker/meta/argument_specs.yml"
# As the role's spec validation reads it.
SPEC = DataLoader().load_from_file(str(SPEC_FILE))["argument_specs"]["main"]["options"]
# The role replaces children by default; who sets the defaults states it or has none replaced.
ROLE_DEFAULTS = {"max_tasks_per_child": 1000}

ANYTHING = (None, "", "x", 0, 1, -1, 3, "3", "²", 2.0, True, False, [], ["a"], [None], {}, {"a": 1}, "auto", [1, "b c"], " 2", "007")
LIKELY: dict[str, tuple[t.Any, ...]] = {
    "name": ("video", "video-2", "bulk", "Video", "a b", 5, "video\n"),
    "queues": (["a"], ["a", "b"], ["a,b"], "a", ["a b"], [1], [True], ["a\n"]),
    "pool": (*pools.POOL_TYPES, "gevnet", "Prefork", ["prefork"]),
    "concurrency": ("auto", 1, 4, "2", 0, "many", None, 1.5),
    "instances": (1, 2, "3", 0, None),
    "autoscale": (
        {"min": 1, "max": 3}, {"min": 0, "max": 3}, {"max": 3}, {"min": 3, "max": 1}, {"min": None, "max": 3}, {"min": None, "max": None},
        {"min": "1", "max": "2"}, {"min": 1, "max": 2, "most": 3}, "min=1,max=2", {},
    ),
    "log_level": (*pools.LOG_LEVELS, "info"),
    "options": (["--purge"], ["--autoscale=3,1"], "--purge", ["a\nb"], [5]),
    "env": ({"A": 1}, {"A": None}, {"A-B": 1}, {"A": "b\nc"}, {"A": "x y"}, "A=1", {1: 2}),
}  # fmt: skip


def some_keys(chance: random.Random, names: t.Sequence[str], sound: float) -> dict[str, t.Any]:
    """Some keys of a pool, most of them as sound as asked for."""
    found: dict[str, t.Any] = {}
    for name in chance.sample(list(names), chance.randint(0, 4)):
        values = LIKELY.get(name, (0, 1, 50, "60", None))
        found[name] = chance.choice(values[:1]) if chance.random() < sound else chance.choice(values + ANYTHING)
    if chance.random() < 0.03:
        found[chance.choice(["concurency", "proceses", "min", 5])] = 1
    return found


def some_inputs(chance: random.Random) -> dict[str, t.Any]:
    """The three inputs that pools are made from, about half of them sound."""
    sound = chance.choice([1.0, 0.9, 0.5])
    names = [key.name for key in pools.KEYS]
    given: list[t.Any] = [
        {"name": name, "queues": ["a"], **some_keys(chance, names if sound < 1 else names[2:], sound)}
        for name in chance.sample(["video", "video-2", "bulk"], chance.randint(1, 2))
    ]
    if chance.random() < 0.03:
        given.append(chance.choice(["video", None, {}, {"name": "x"}, {"queues": ["a"]}]))
    inputs: dict[str, t.Any] = {pools.POOLS: given}
    if chance.random() < 0.5:
        inputs[pools.DEFAULTS] = some_keys(chance, names[2:], sound)
    if chance.random() < 0.5:
        inputs[pools.OVERRIDES] = {chance.choice(["video", "bulk", "nobody"]): some_keys(chance, names[1:], sound)}
    if chance.random() < 0.03:
        inputs[chance.choice(pools.INPUTS)] = chance.choice(["text", 5, None, []])
    return inputs


def refused_by_filter(inputs: dict[str, t.Any]) -> str:
    try:
        made = celery_nodes(inputs.get(pools.POOLS), "h", 4, inputs.get(pools.DEFAULTS), overrides=inputs.get(pools.OVERRIDES))
    except AnsibleFilterError as exc:
        return str(exc)
    for node in made:
        # What the templates of units do with a node.
        service_command(node["arguments"], "systemd")
        service_environment(node["env"], "systemd")
    return ""


def refused_by_preflight(inputs: dict[str, t.Any]) -> str:
    host = preflight.Host("h", ["celery_worker"], inputs)
    inventory = preflight.Inventory((host,), {}, {"workers": ["celery_worker"]})
    found = preflight.run_checks(inventory, [preflight_workers.check_pools])
    assert all(finding.fatal and finding.hosts == ("h",) and "group_vars/workers/celery_worker.yml" in finding.remedy for finding in found)
    return "\n".join(finding.text() for finding in found if finding.check != "pools_empty")


def refused_by_spec(inputs: dict[str, t.Any]) -> list[str]:
    spec = {name: SPEC[name] for name in inputs}
    return ArgumentSpecValidator(spec).validate(inputs, validate_role_argument_spec=True).error_messages


def test_the_filter_preflight_and_the_spec_agree_about_every_pool() -> None:
    chance = random.Random(7)
    accepted = 0
    count = 4000
    for _number in range(count):
        inputs = some_inputs(chance)
        by_filter, by_preflight = refused_by_filter(inputs), refused_by_preflight(inputs)
        assert bool(by_filter) == bool(by_preflight), (inputs, by_filter, by_preflight)
        if by_filter:
            assert {line.split("]")[0] for line in by_filter.splitlines()} == {line.split("]")[0] for line in by_preflight.splitlines()}
        else:
            accepted += 1
            # The spec of the role is looked at only when the brokers have been deployed.
            given = {name: value for name, value in inputs.items() if value is not None}
            assert refused_by_spec(given) == [], inputs
    assert count * 0.25 < accepted < count * 0.75


@pytest.mark.parametrize("name", [key.name for key in pools.KEYS])
@pytest.mark.parametrize("source", pools.INPUTS)
def test_they_agree_about_any_value_of_every_key_in_every_input(name: str, source: str) -> None:
    for value in ANYTHING:
        layers: dict[str, dict[str, t.Any]] = {pools.POOLS: {"name": "video", "queues": ["a"]}, pools.DEFAULTS: {}, pools.OVERRIDES: {}}
        layers[source][name] = value
        inputs = {**layers, pools.POOLS: [layers[pools.POOLS]], pools.OVERRIDES: {"video": layers[pools.OVERRIDES]}}
        by_filter = refused_by_filter(inputs)
        assert bool(by_filter) == bool(refused_by_preflight(inputs)), inputs
        assert by_filter or refused_by_spec(inputs) == [], inputs


def test_null_is_no_value_wherever_it_stands() -> None:
    nulls = {key.name: None for key in pools.KEYS[2:]}
    inputs = {pools.DEFAULTS: {"instances": 2, "env": {"A": 1}}, pools.OVERRIDES: {"video": {"concurrency": 3}}}
    plain, problems = pools.read_pools([{"name": "video", "queues": ["a"], "time_limit_seconds": 9}], *inputs.values())
    assert problems == []
    assert pools.read_pools(
        [{"name": "video", "queues": ["a"], **nulls, "time_limit_seconds": 9, "env": {"A": None}, "autoscale": {"min": None, "max": None}}],
        {**nulls, **inputs[pools.DEFAULTS]},
        {"video": {**nulls, "queues": None, "concurrency": 3}},
    ) == (plain, [])
    assert (plain[0]["instances"], plain[0]["concurrency"], plain[0]["env"]) == (2, 3, {"A": "1"})


def test_an_override_finds_a_pool_whose_name_is_a_number() -> None:
    (pool,), problems = pools.read_pools([{"name": 1, "queues": ["a"]}], None, {1: {"instances": 3}})
    assert (pool["name"], pool["instances"], problems) == ("1", 3, [])


def test_a_pool_can_have_a_fixed_size_where_the_defaults_have_bounds() -> None:
    defaults = {"autoscale": {"min": 1, "max": 9}}
    assert pools.read_pools([{"name": "a", "queues": ["q"], "autoscale": {}}, {"name": "b", "queues": ["q"]}], defaults)[0][0]["autoscale"] == {}
    assert pools.read_pools([{"name": "a", "queues": ["q"], "autoscale": {}, "pool": "gevent"}], defaults)[1] == []


def test_a_value_of_which_nobody_should_know_is_not_shown() -> None:
    given = [{"name": "video", "queues": ["a"], "env": {"TOKEN-": "hunter2"}}, {"name": "other", "queues": ["a"], "env": ["hunter2"]}]
    _found, problems = pools.read_pools(given)
    assert len(problems) == 2
    assert "hunter2" not in "".join(problem.text() for problem in problems)


def names_and_pools(hosts: dict[str, list[dict[str, t.Any]]]) -> dict[str, str]:
    return {f"{node}@{host}": pool["name"] for host, each in hosts.items() for pool in each for node in pools.node_names(pool)}


def test_the_pool_of_every_node_is_reported_by_its_name() -> None:
    chance = random.Random(3)
    names = ["video", "video-2", "video-2-3", "bulk", "a.b", "x-10"]
    exceptions = 0
    for _number in range(200):
        hosts = {
            f"cpu-{place}": [{"name": name, "instances": chance.randint(1, 4)} for name in chance.sample(names, chance.randint(0, 4))]
            for place in range(chance.randint(1, 5))
        }
        hosts = {host: each for host, each in hosts.items() if not pools._shared_names(each)}
        rules = pools.node_rules(hosts)
        exceptions += len(rules) - len({pool["name"] for each in hosts.values() for pool in each})
        for node, pool in names_and_pools(hosts).items():
            assert pools.pool_of_node(node, rules) == pool
    assert exceptions > 0


@pytest.mark.parametrize(
    ("node", "pool"),
    [("video@cpu-1", "video"), ("video-3@cpu-1", "video"), ("video-9@cpu-9", "video"), ("bulk-2@cpu-1", "bulk-2"), ("bulk-2-2@cpu-1", "bulk-2"),
     ("bulk-3@cpu-1", "bulk"), ("other-2@cpu-1", "other-2"), ("videos@cpu-1", "videos"), ("celery", "celery")],
)  # fmt: skip
def test_nodes_beyond_the_inventory_get_the_pool_that_their_name_speaks_of(node: str, pool: str) -> None:
    rules = pools.node_rules({"cpu-1": [{"name": name, "instances": 1} for name in ("video", "bulk", "bulk-2")]})
    assert pools.pool_of_node(node, rules) == pool


def spec_of(key: pools.Key) -> dict[str, t.Any]:
    return {
        "type": key.type,
        **({"elements": key.elements} if key.elements else {}),
        # Null is a choice, too: the spec would refuse it otherwise.
        **({"choices": [*key.choices, None]} if key.choices else {}),
        **({"options": {name: {"type": "int"} for name in key.options}} if key.options else {}),
        **({"required": True} if key.name in ("name", "queues") else {}),
    }


def bare(options: dict[str, t.Any]) -> dict[str, t.Any]:
    """A spec without its texts."""
    found = {name: {key: value for key, value in option.items() if key != "description"} for name, option in options.items()}
    return {name: {**option, **({"options": bare(option["options"])} if "options" in option else {})} for name, option in found.items()}


@pytest.mark.parametrize("variable", [pools.POOLS, pools.DEFAULTS])
def test_the_spec_of_the_role_has_the_keys_of_a_pool(variable: str) -> None:
    wanted = {key.name: spec_of(key) for key in pools.KEYS if variable in key.inputs}
    assert bare(SPEC[variable]["options"]) == wanted
    # Documentation tools read plain YAML.
    assert bare(yaml.safe_load(SPEC_FILE.read_text())["argument_specs"]["main"]["options"][variable]["options"]) == wanted


def test_the_defaults_of_the_role_are_those_of_a_pool() -> None:
    defaults = SPEC[pools.DEFAULTS]["default"]
    assert defaults == {name: ROLE_DEFAULTS.get(name, pools.BUILT_IN[name]) for name in defaults}
    assert ROLE_DEFAULTS.items() <= defaults.items()
    assert pools.read_pools([{"name": "a", "queues": ["q"]}], defaults)[1] == []


def test_every_input_of_pools_is_one_of_the_role() -> None:
    assert set(pools.INPUTS) == {name for name in SPEC if name.startswith("celery_worker_pool")}
    assert SPEC["celery_worker_greenlet_concurrency"]["default"] == pools.GREENLETS
