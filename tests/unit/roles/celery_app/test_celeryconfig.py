# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the configuration module as the role does and reads it as Celery does."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest

pytest.importorskip("celery")
pytest.importorskip("kombu.transport.redis").redis or pytest.skip("redis is not installed", allow_module_level=True)

CHECKOUT = pathlib.Path(__file__).resolve().parents[4]
ROLE = CHECKOUT / "roles" / "celery_app"
PASSWORD = "it's a $ecret;/@:%"
PLAYBOOK = """
- name: Render the files of the application
  hosts: cpu-1
  gather_facts: false
  vars_files: [{shared}/defaults/main.yml, {shared}/vars/main.yml, {role}/defaults/main.yml, {role}/vars/main.yml]
  tasks:
    - name: Render
      multinode.celery.file_set:
        owner: "{owner}"
        group: "{group}"
        files:
          - path: "{target}/celeryconfig.py"
            src: "{role}/templates/etc/celery/app/celeryconfig.py.j2"
            mode: "0600"
          - path: "{target}/env"
            src: "{role}/templates/etc/celery/app/env.j2"
            mode: "0600"
          - path: "{target}/multinode_canary.py"
            src: "{role}/templates/etc/celery/app/multinode_canary.py.j2"
            mode: "0600"
          - path: "{target}/multinode_heartbeat.py"
            src: "{role}/templates/etc/celery/app/multinode_heartbeat.py.j2"
            mode: "0600"
          - path: "{target}/multinode_unacked.py"
            src: "{role}/templates/etc/celery/app/multinode_unacked.py.j2"
            mode: "0600"
          - path: "{target}/celery-app"
            src: "{role}/templates/usr/local/bin/celery-app.j2"
            mode: "0600"
"""


def render(directory: pathlib.Path, **variables) -> pathlib.Path:
    """Render the role's templates for one host of a small inventory."""
    (directory / "play.yml").write_text(PLAYBOOK.format(role=ROLE, shared=ROLE.with_name("cluster"), target=directory, owner=os.geteuid(), group=os.getegid()))
    hosts = {f"broker-{number}": {"ansible_host": f"10.0.0.{number}"} for number in (1, 2, 3)}
    group = {"hosts": {"cpu-1": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}
    inventory = {"all": {"children": {"brokers": {"hosts": hosts}, "workers": group}}}
    (directory / "hosts.json").write_text(json.dumps(inventory))
    given = {
        "celery_app_source": "/nowhere",
        "cluster_environment": {"name": "prod", "vhost": 2, "key_prefix": "prod:", "user": "prod", "password": PASSWORD},
        "cluster_sentinel_client_password": "sentinel's",
        "cluster_tls_enabled": False,
        **variables,
    }
    (directory / "vars.json").write_text(json.dumps(given))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"), "ANSIBLE_LOCALHOST_WARNING": "0"}
    beside = pathlib.Path(sys.executable).with_name("ansible-playbook")
    command = [str(beside) if beside.exists() else shutil.which("ansible-playbook"), "play.yml", "-i", "hosts.json", "-e", "@vars.json"]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def settings(directory: pathlib.Path, expression: str, code: str = "", **environment) -> object:
    """Evaluate an expression in a process that finds the module as a deployed program does."""
    script = f"import json\nfrom celery import Celery\napp = Celery('proj')\n{code}\nprint(json.dumps({expression}, default=str))"
    variables = {"PYTHONPATH": str(directory), "CELERY_CONFIG_MODULE": "celeryconfig", "PATH": os.environ["PATH"], **environment}
    done = subprocess.run([sys.executable, "-c", script], cwd="/", env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return render(
        tmp_path_factory.mktemp("rendered"),
        celery_app_variables={"DATABASE_URL": "postgresql://a b'c"},
        celery_app_settings={"broker_transport_options": {"priority_steps": [0, 5]}, "imports": ["extra"], "task_time_limit": 99},
        celery_app_task_routes={"proj.*": {"queue": "video"}},
    )


def test_an_application_without_configuration_code_reads_the_module(rendered):
    assert settings(rendered, "app.conf.broker_transport_options['global_keyprefix']") == "prod:"


def test_an_application_that_names_the_module_reads_the_same(rendered):
    expression = "[app.conf.task_default_queue, app.conf.broker_channel_error_retry]"
    assert settings(rendered, expression, "app.config_from_object('celeryconfig')") == ["default", True]


def test_passwords_come_from_the_environment_file(rendered):
    urls = settings(rendered, "app.conf.broker_url").split(";")
    assert len(urls) == 3
    assert all(url.startswith("sentinel://prod:it%27s%20a%20%24ecret%3B%2F%40%3A%25@10.0.0.") and url.endswith(":26379/2") for url in urls)
    code = "import urllib.parse as p"
    assert settings(rendered, "p.unquote(p.urlsplit(app.conf.broker_url.split(';')[0]).password)", code) == PASSWORD


def test_the_process_environment_wins(rendered):
    assert "prod:other@" in settings(rendered, "app.conf.broker_url", MULTINODE_REDIS_PASSWORD="other")


def test_the_module_and_the_launcher_hold_no_secret(rendered):
    for name in ("celeryconfig.py", "celery-app", "multinode_canary.py"):
        text = (rendered / name).read_text()
        assert PASSWORD not in text
        assert "ecret;" not in text
        assert "sentinel's" not in text


def test_a_missing_secret_is_named(rendered, tmp_path):
    shutil.copy(rendered / "celeryconfig.py", tmp_path)
    done = subprocess.run([sys.executable, "-c", "import celeryconfig"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "MULTINODE_REDIS_PASSWORD is neither in the process environment" in done.stderr


def test_the_shell_reads_the_same_environment_as_the_module(rendered):
    command = f'set -a; . {rendered}/env; printf "%s|%s" "$MULTINODE_REDIS_PASSWORD" "$DATABASE_URL"'
    assert subprocess.check_output(["sh", "-c", command], text=True) == f"{PASSWORD}|postgresql://a b'c"


def test_settings_of_the_inventory_come_last_and_dictionaries_are_merged(rendered):
    expression = "[app.conf.task_time_limit, app.conf.broker_transport_options['priority_steps'], app.conf.broker_transport_options['master_name']]"
    assert settings(rendered, expression) == [99, [0, 5], "celery"]


def test_our_own_modules_are_imported_whatever_the_inventory_imports(rendered):
    assert settings(rendered, "app.conf.imports") == ["extra", "multinode_canary", "multinode_heartbeat", "multinode_unacked"]


def test_the_canary_is_registered(rendered, tmp_path):
    (tmp_path / "extra.py").write_text("")
    code = "app.loader.import_default_modules()"
    assert settings(rendered, "'multinode.canary' in app.tasks", code, PYTHONPATH=f"{rendered}:{tmp_path}") is True


def test_routes_of_the_inventory_are_rendered_only_where_there_are_some(rendered, tmp_path):
    assert settings(rendered, "app.conf.task_routes") == {"proj.*": {"queue": "video"}}
    assert "task_routes" not in (render(tmp_path) / "celeryconfig.py").read_text()


def test_settings_of_the_application_win(rendered):
    code = "app.conf.task_routes = {'own': 'queue'}"
    assert settings(rendered, "[app.conf.task_routes, app.conf.task_time_limit]", code) == [{"own": "queue"}, 99]


def test_every_setting_is_known_to_celery(rendered):
    own = "beat_scheduler beat_max_loop_interval redbeat redis_backend_health_check_interval redis_client_name".split()
    code = "import celeryconfig\nfrom celery.app.defaults import DEFAULTS"
    unknown = settings(rendered, "[n for n in vars(celeryconfig) if not n.startswith('_') and n not in DEFAULTS]", code)
    assert [name for name in unknown if not name.startswith(tuple(own))] == []


def test_every_transport_option_is_known_to_kombu(rendered):
    code = "from kombu.transport.redis import SentinelChannel"
    unknown = settings(rendered, "[o for o in app.conf.broker_transport_options if o not in SentinelChannel.from_transport_options]", code)
    assert unknown == []


def test_connections_get_the_timeouts(rendered):
    code = """
connection = app.connection_for_write()
channel = connection.transport.Channel.__new__(connection.transport.Channel)
options = connection.transport_options
backend = app.backend.connparams
"""
    broker = "options['socket_timeout'], options['socket_connect_timeout']"
    results = "backend['socket_timeout'], backend['username'], backend['db'], len(backend['hosts'])"
    assert settings(rendered, f"[{broker}, {results}]", code) == [3, 1, 3, "prod", 2, 3]
    keepalive = settings(rendered, "{str(int(k)): v for k, v in app.conf.broker_transport_options['socket_keepalive_options'].items()}")
    assert keepalive[str(int(socket.TCP_USER_TIMEOUT))] == 3000


def test_sentinels_are_asked_once_each(rendered):
    code = "options = app.conf.broker_transport_options['sentinel_kwargs']"
    assert settings(rendered, "[options['retry'].get_retries(), options['socket_timeout'], options['password']]", code) == [0, 0.5, "sentinel's"]


def test_a_channel_without_a_connection_is_closed_in_peace(rendered):
    code = """
app.conf.broker_url
class Channel:
    def close(self):
        raise AttributeError("'NoneType' object has no attribute 'hostname'")
"""
    assert settings(rendered, "app.connection_for_write().maybe_close_channel(Channel())", code) is None


def test_no_read_of_publish_and_subscribe_makes_kombu_wait_for_ever(rendered):
    code = """
import redis
asked = []
redis.client.PubSub.parse_response = lambda self, block=True, timeout=0: asked.append([block, timeout])
redis.client.PubSub.__del__ = lambda self: None
app.conf.broker_url
from kombu.transport.redis import PrefixedRedisPubSub
for kind in (PrefixedRedisPubSub, redis.client.PubSub):
    pubsub = kind.__new__(kind)
    pubsub.parse_response()
    pubsub.parse_response(block=False, timeout=0.2)
"""
    assert settings(rendered, "asked", code) == [[False, 1], [False, 0.2], [True, 0], [False, 0.2]]


def test_a_subscription_without_a_message_keeps_no_task_waiting(rendered):
    code = """
import redis.client
asked = []
redis.client.PubSub.parse_response = lambda self, block=True, timeout=0: asked.append([block, timeout])
redis.client.PubSub.__del__ = lambda self: None
app.conf.broker_url
from kombu.transport.redis import PrefixedRedisPubSub


class Connection:
    def __init__(self, readable):
        self.readable = readable

    def can_read(self, timeout):
        assert timeout < 0.1
        return self.readable


pubsub = PrefixedRedisPubSub.__new__(PrefixedRedisPubSub)
for readable in (False, True):
    pubsub.connection = Connection(readable)
    pubsub.parse_response()
"""
    assert settings(rendered, "asked", code) == [[False, 1]]


def test_greenlets_find_nothing_that_was_imported_before_the_patches(rendered):
    code = "import sys\nimport celeryconfig"
    assert settings(rendered, "sorted({'kombu.utils.eventio', 'kombu.transport.redis'} & set(sys.modules))", code) == []


def test_the_scheduler_keeps_its_keys_under_the_prefix_of_the_environment(rendered):
    expression = "[app.conf.redbeat_key_prefix, app.conf.redbeat_redis_options['db'], app.conf.redbeat_lock_timeout]"
    assert settings(rendered, expression) == ["prod:redbeat:", 2, 30]


def test_a_message_states_when_it_was_sent(rendered):
    code = """
import time
from celery.signals import before_task_publish
app.conf.broker_url
headers = {}
before_task_publish.send(sender="a task", headers=headers, body=())
"""
    assert settings(rendered, "0 <= time.time() - headers['multinode_sent_at'] < 60", code) is True


def test_nodes_have_a_queue_of_their_own_unless_switched_off(rendered, tmp_path):
    assert settings(rendered, "app.conf.worker_direct") is True
    render(tmp_path, celery_app_worker_direct_enabled=False)
    assert settings(tmp_path, "app.conf.worker_direct") is False


def test_a_worker_reports_to_nobody_how_it_reaches_the_sentinels(rendered):
    code = """
from types import SimpleNamespace
from celery.signals import celeryd_after_setup
from celery.worker.consumer.connection import Connection
app.conf.broker_url
celeryd_after_setup.send(sender="node", instance=None, conf=app.conf)
step = Connection(SimpleNamespace())
answer = step.info(SimpleNamespace(connection=app.connection_for_read()))
"""
    expression = """["sentinel's" in json.dumps(answer), answer["broker"]["transport"]]"""
    assert settings(rendered, expression, code) == [False, "sentinel"]
