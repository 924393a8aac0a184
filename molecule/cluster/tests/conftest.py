"""The hosts of this scenario, asked from the control machine."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def control_machine_allowed(lab):
    """Open the brokers to the control machine, which the firewall otherwise refuses, while the tests of a module run."""
    brokers = lab.group("brokers")
    outside = lab.address(brokers[0]).rpartition(".")[0] + ".1"
    element = f"element inet multinode_celery brokers_ipv4 '{{ {outside} }}'"
    for host in brokers:
        lab.run(host, f"nft add {element}")
    yield
    for host in brokers:
        lab.run(host, f"nft delete {element}")
