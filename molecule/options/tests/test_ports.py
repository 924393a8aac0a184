"""The inventory of the scenario moves Sentinel to another port in one line; everything follows."""

from __future__ import annotations

testinfra_hosts = ["ansible://all"]

USUAL, CHANGED = "26379", "26380"
# Where the roles write; addresses and ports stand there in configuration, units, settings and rules.
WRITTEN = (
    "/etc/celery /etc/redis-broker /etc/prometheus /etc/monitoring /etc/monitoring-proxy /etc/multinode-firewall"
    " /etc/systemd/system /etc/supervisor/conf.d"
)


def files_with(host, port: str) -> list[str]:
    """Return the files of the roles in which a port stands."""
    found = host.run(f"sudo grep -rlw {port} {WRITTEN} 2>/dev/null")
    # grep exits with 2 where a folder is missing, which a host of another group has no need for.
    assert found.rc in (0, 1, 2) and found.stderr == ""
    return found.stdout.split()


def test_no_file_has_the_usual_port(host):
    assert files_with(host, CHANGED)
    assert files_with(host, USUAL) == []


def test_sentinel_listens_at_the_changed_port_alone(host):
    listening = host.check_output("sudo ss --listening --tcp --numeric --no-header").splitlines()
    ports = {line.split()[3].rpartition(":")[2] for line in listening}
    assert "22" in ports
    assert USUAL not in ports
    assert (CHANGED in ports) is ("brokers" in host.ansible.get_variables()["group_names"])


def test_the_firewall_knows_the_changed_port(host):
    rules = host.check_output("sudo nft list table inet multinode_celery")
    assert (CHANGED in rules) is ("brokers" in host.ansible.get_variables()["group_names"])
    assert USUAL not in rules
