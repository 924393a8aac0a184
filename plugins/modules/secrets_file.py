#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets_file
short_description: Add missing passwords to a file of variables on the controller
version_added: "1.0.0"
description:
  - Makes a random password for every variable named C(vault_…_password) that the inventory reads and does not set,
    and for every one of O(names).
  - Keeps what the file holds to the letter, gives it mode 0600, and encrypts it when Ansible has a vault password.
  - Runs on the controller and contacts no host. No password is shown.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  path:
    description: The file, usually C(group_vars/all/vault.yml) of an inventory.
    type: path
    required: true
  names:
    description: Variables to make besides those that the inventory reads.
    type: list
    elements: str
    default: []
  length:
    description: Letters and digits of a new password.
    type: int
    default: 32
attributes:
  diff_mode:
    details: Returns no differences, the content is secret.
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Write the missing passwords
  multinode.celery.secrets_file:
    path: "{{ inventory_dir }}/group_vars/all/vault.yml"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: The file.
  type: str
  returned: success
created:
  description: Variables that got a new password.
  type: list
  elements: str
  returned: success
encrypted:
  description: Whether the file is encrypted when it is written.
  type: bool
  returned: success
"""
