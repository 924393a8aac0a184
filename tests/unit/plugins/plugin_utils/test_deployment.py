# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles would place on a host, and how a host differs from it."""

from __future__ import annotations

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.multinode.celery.plugins.plugin_utils.deployment import Deployment, attributes, differences
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles, Use, uses_by_host

FILE = {"kind": "file", "mode": "0644", "owner": "root", "group": "root", "sha256": "a"}


def deployment(**inputs: object) -> Deployment:
    raw = {"inventory_hostname": "cpu-1", "groups": {"brokers": ["b-1"]}, "group_names": [], **inputs}
    loader = DataLoader()
    return Deployment(RoleFiles(loader), Templar(loader), raw, {}, ["limits", "logrotate"], {"processor_nproc": 2}).read_tasks()


def test_entries_follow_the_tasks_of_the_roles() -> None:
    entries = deployment().entries()
    assert entries["/etc/logrotate.d/celery"]["role"] == "logrotate"
    assert entries["/etc/security/limits.d/90-multinode-celery.conf"]["mode"] == "0644"
    assert entries["/etc/systemd/system/transparent-hugepages.service"] == {"kind": "absent"}


def test_entries_follow_the_inputs() -> None:
    entries = deployment(limits_transparent_hugepages="never").entries()
    assert entries["/etc/systemd/system/transparent-hugepages.service"]["kind"] == "file"
    assert entries["/etc/systemd/system/sysinit.target.wants/transparent-hugepages.service"]["kind"] == "link"


def test_content_is_rendered_with_the_inputs() -> None:
    one = deployment(logrotate_kept=3)
    entries = one.entries()
    assert "rotate 3\n" in one.content("/etc/logrotate.d/celery", entries["/etc/logrotate.d/celery"])


def test_an_input_that_cannot_be_read_is_a_problem() -> None:
    one = deployment(limits_sysctl=trust_as_template("{{ nowhere }}"))
    assert one.value("limits_sysctl") is None
    assert "nowhere" in one.problems["limits_sysctl"]


def test_a_host_gets_what_the_plays_of_its_groups_run() -> None:
    uses = uses_by_host(RoleFiles(DataLoader()).uses(), {"brokers": ["a"], "workers": ["a", "b"], "schedulers": [], "monitoring": ["c"]})
    a, b, c = ([(use.role, use.entry) for use in uses[host]] for host in "abc")
    assert ("redis", "main") in a and ("celery_worker", "main") in a and a.count(("limits", "main")) == 1
    assert ("redis", "main") not in b
    assert ("celery_app", "client") in c and ("celery_app", "main") not in c


def test_only_the_entry_point_that_a_play_runs_counts() -> None:
    raw = {"inventory_hostname": "m-1", "groups": {"brokers": []}, "group_names": []}
    loader = DataLoader()
    client = Deployment(RoleFiles(loader), Templar(loader), raw, {}, [Use("celery_app", "client", {}, [])], {}).read_tasks()
    assert client.whole == {"cluster"} and client.roles == ["cluster", "celery_app"]
    assert "/opt/celery/proj/current" not in client.entries()


def test_attributes_of_an_entry_come_before_those_of_its_set() -> None:
    assert attributes({"group": "redis", "mode": "0640"}, {"owner": "redis"}, "mode", "0644") == {"owner": "redis", "group": "redis", "mode": "0640"}


def test_equal_paths_do_not_differ() -> None:
    assert differences({"/a": FILE, "/b": {"kind": "absent"}}, {"/a": dict(FILE), "/b": None}) == {}


def test_each_way_to_differ_is_reported() -> None:
    link = {"kind": "link", "target": "releases/2"}
    wanted = {"/missing": FILE, "/content": FILE, "/mode": FILE, "/owner": FILE, "/link": link, "/kind": FILE, "/absent": {"kind": "absent"}}
    found = {
        "/missing": None, "/content": {**FILE, "sha256": "b"}, "/mode": {**FILE, "mode": "0600"}, "/owner": {**FILE, "owner": "celery"},
        "/link": {**link, "target": "releases/1"}, "/kind": link, "/absent": FILE,
    }  # fmt: skip
    reported = differences(wanted, found)
    assert reported.keys() == wanted.keys()
    assert reported["/link"] == "points to releases/1, not to releases/2"


def test_a_path_that_was_not_looked_at_does_not_differ() -> None:
    assert differences({"/a": FILE}, {}) == {}


def test_a_file_without_a_digest_is_compared_by_its_attributes() -> None:
    wanted = {key: value for key, value in FILE.items() if key != "sha256"}
    assert differences({"/a": wanted}, {"/a": {**FILE, "sha256": "other"}}) == {}
