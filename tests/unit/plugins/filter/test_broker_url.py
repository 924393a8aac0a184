# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.broker_url import broker_url

NODES = [{"host": "broker-1", "address": "10.0.0.1"}, {"host": "broker-2", "address": "10.0.0.2"}]


def test_every_alternative_carries_the_credentials():
    expected = "sentinel://prod:secret@10.0.0.1:26379/3;sentinel://prod:secret@10.0.0.2:26379/3"
    assert broker_url(NODES, 3, "prod", "secret") == expected


def test_secrets_are_percent_encoded():
    assert broker_url(["10.0.0.1"], 0, "prod", "p/w;@:") == "sentinel://prod:p%2Fw%3B%40%3A@10.0.0.1:26379/0"


def test_without_credentials():
    assert broker_url(["10.0.0.1"], "0", port=6379, scheme="redis") == "redis://10.0.0.1:6379/0"


@pytest.mark.parametrize(("nodes", "vhost", "message"), [([], 0, "broker group empty"), (NODES, "/prod", "database number")])
def test_bad_input_is_refused(nodes, vhost, message):
    with pytest.raises(AnsibleFilterError, match=message):
        broker_url(nodes, vhost)
