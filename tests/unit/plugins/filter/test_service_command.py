# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.service_command import service_command


@pytest.mark.parametrize(
    ("word", "systemd", "supervisor"),
    [
        ("--queues=a,b", "--queues=a,b", "--queues=a,b"),
        ("w@%h", "w@%%h", "w@%%h"),
        ("a b", '"a b"', "'a b'"),
        ('say "x"', '"say \\"x\\""', "'say \"x\"'"),
        ("it's", '"it\'s"', "'it'\"'\"'s'"),
        ("$HOME", "$$HOME", "'$HOME'"),
        ("", '""', "''"),
    ],
)
def test_arguments_survive_both_managers(word, systemd, supervisor):
    assert service_command([word], "systemd") == systemd
    assert service_command([word], "supervisor") == supervisor


@pytest.mark.parametrize(("argv", "manager"), [(["a\nb"], "systemd"), (["a ;b"], "supervisor"), (["a"], "runit")])
def test_what_cannot_be_written_is_refused(argv, manager):
    with pytest.raises(AnsibleFilterError):
        service_command(argv, manager)
