# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab: hosts that stand for a cluster, and what tests and benches do to them.

The playbooks of this folder make and remove the hosts: create.yml, converge.yml, destroy.yml, with the image in image/.
The modules use them; the scenarios beside this folder and tools/bench import them as lab.<module>:

hosts        reach a host: run, kill, cut off, ask Redis, Sentinel or the agent, read the logs of the workers
workers      ask a worker's host through testinfra: processes, command lines, limits, results of tasks
metrics      scrape the exporters of Celery, and time how long they are blind in a failover
playbooks    run a playbook as an operator would, and count what it did on every host (callback/)
load         send a steady mix of tasks while something happens
accounting   count what was accepted, executed, doubled and lost; pure functions
faults       kill, cut off or hang a host under load
brokers      switch over and restart the brokers under load
updates      update and roll back the release under load
drains       empty, hang and scale workers under load
report       keep results in reports/, as JSON and as Markdown
agent        runs on a host of the lab with the release deployed there; imported by nobody
"""

from __future__ import annotations

from pathlib import Path

# The checkout.
ROOT = Path(__file__).resolve().parents[2]
