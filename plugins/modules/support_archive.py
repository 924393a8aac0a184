#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: support_archive
short_description: Pack the parts of a support bundle once no secret is left in them
version_added: "1.0.0"
description:
  - Looks for every secret of every host of the inventory in the folder that M(multinode.celery.support_bundle) filled,
    takes out what is found, packs the folder and removes it.
  - Runs on the controller and contacts no host; use it with C(run_once).
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  directory:
    description: Folder on the controller with one folder for each host.
    type: path
    required: true
  path:
    description: Archive to write on the controller, a tar file with gzip. Only its owner can read it.
    type: path
    required: true
  documents:
    description: Further documents, as texts by the names of their files.
    type: dict
    default: {}
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Create the bundle
  multinode.celery.support_archive:
    directory: bundle
    path: bundle.tar.gz
  run_once: true
"""

RETURN = r"""
path:
  description: The archive.
  type: str
  returned: success
files:
  description: Number of files in it.
  type: int
  returned: success
size:
  description: Its size in bytes.
  type: int
  returned: success
"""
