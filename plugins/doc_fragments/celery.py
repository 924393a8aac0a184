# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

# Where the programs of applications are, and as whom they run; the end of each fragment.
PROGRAMS = """\
  user:
    description: User that runs the application's programs.
    type: str
    default: celery
attributes:
  action_group:
    description: Use C(group/multinode.celery.application) in C(module_defaults) to set once which application it is, where it is and as whom it runs.
    support: full
    membership: [multinode.celery.application]
"""


class ModuleDocFragment:
    """Options that the modules for Celery share."""

    # With a type, since yamllint of ansible-test breaks on a plain assignment of more than one text.
    APPLICATION: str = (
        r"""
options:
  app_directory:
    description: Directory that holds the releases of the application, as C(cluster_paths.app_directory) of the role C(cluster).
    type: path
    required: true
  config_directory:
    description: Directory of the application's settings and environment file, as C(cluster_paths.config_directory).
    type: path
    required: true
"""
        + PROGRAMS
    )

    NODES: str = (
        r"""
options:
  start_timeout_seconds:
    description: How long a started node may take until it is ready, in seconds.
    type: int
    default: 120
  stop_timeout_seconds:
    description: How long the manager waits before it kills a stopping node, in seconds.
    type: int
    default: 360
  answer_timeout_seconds:
    description: >-
      Seconds after which a node that has not noticed that it shall stop is killed. A node of a solo pool,
      whose main thread is inside its task, is only killed when its process is suspended.
    type: int
    default: 30
  app_directory:
    description:
      - Directory that holds the releases of the application, as C(cluster_paths.app_directory) of the role C(cluster). With it,
        unacknowledged tasks of a node that had to be killed are put back at once; without, they come back after the visibility timeout.
    type: path
  config_directory:
    description: Directory of the application's settings and environment file, as C(cluster_paths.config_directory); with O(app_directory).
    type: path
  marker:
    description: File that tells units, supervisor and the modules that the host is drained. Its nodes are not started then.
    type: path
    required: true
  report_directory:
    description: Directory in which stopping nodes write down what becomes of their tasks.
    type: path
    required: true
"""
        + PROGRAMS
    )
