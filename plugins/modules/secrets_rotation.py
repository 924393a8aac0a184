#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets_rotation
short_description: Change passwords in a file of variables on the controller in two steps
version_added: "1.0.0"
description:
  - C(introduce) gives a password C(vault_x_password) a new random value, keeps the former one in C(vault_x_password_previous),
    and notes the time in C(vault_x_password_changed), in seconds since 1970.
  - C(retire) makes C(vault_x_password_previous) empty.
  - A password that is between its two values, or was changed a short time ago, gets no other value, so that an interrupted run
    is completed by the next one.
  - Keeps whatever else the file holds to the letter, gives it mode 0600, and encrypts it when Ansible has a vault password.
  - Runs on the controller and contacts no host. No password is shown. Variables that Ansible has read keep their values until the
    file is read again.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  path:
    description: The file, usually C(group_vars/all/vault.yml) of an inventory.
    type: path
    required: true
  names:
    description: Variables to change; C(all) alone stands for every password of the file.
    type: list
    elements: str
    required: true
  step:
    description: Step to take.
    type: str
    choices: [introduce, retire]
    required: true
  minimum_age_hours:
    description: How long ago the last change of a password must be, in hours.
    type: float
    default: 24.0
  length:
    description: Letters and digits of a new password.
    type: int
    default: 32
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Put a new password beside the present one
  multinode.celery.secrets_rotation:
    path: "{{ inventory_dir }}/group_vars/all/vault.yml"
    names: [vault_environment_password]
    step: introduce
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: The file.
  type: str
  returned: success
introduced:
  description: Variables that got a new value.
  type: list
  elements: str
  returned: success
under_way:
  description: Variables that have a former value beside the new one.
  type: list
  elements: str
  returned: success
recent:
  description: Variables that were changed less than O(minimum_age_hours) ago and kept as they are.
  type: list
  elements: str
  returned: success
"""
