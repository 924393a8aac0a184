#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets_file
short_description: Add and change passwords in a file of variables on the controller
version_added: "1.0.0"
description:
  - Adds random passwords, and changes them in two steps between which both values are known.
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
  step:
    description:
      - V(add) makes a random password for every variable named C(vault_…_password) that the inventory reads and does not set,
        and for every one of O(names).
      - V(introduce) gives a password C(vault_x_password) a new random value, keeps the previous one in C(vault_x_password_previous),
        and notes the time in C(vault_x_password_changed), in seconds since 1970. A password that is between its two values, or was
        changed a short time ago, gets no other value, so that an interrupted run is completed by the next one.
      - V(retire) makes C(vault_x_password_previous) empty.
    type: str
    choices: [add, introduce, retire]
    default: add
  names:
    description:
      - With V(add), variables to make besides those that the inventory reads.
      - With V(introduce) and V(retire), variables to change; C(all) alone stands for every password of the file.
    type: list
    elements: str
    default: []
  minimum_age_hours:
    description: How long ago the last change of a password must be with V(introduce), in hours.
    type: float
    default: 24.0
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

- name: Add a new password beside the current one
  multinode.celery.secrets_file:
    path: "{{ inventory_dir }}/group_vars/all/vault.yml"
    step: introduce
    names: [vault_environment_password]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: The file.
  type: str
  returned: success
encrypted:
  description: Whether the file is encrypted when it is written.
  type: bool
  returned: success
created:
  description: Variables that got a password for the first time.
  type: list
  elements: str
  returned: with O(step=add)
introduced:
  description: Variables that got a new value.
  type: list
  elements: str
  returned: with O(step=introduce) and O(step=retire)
under_way:
  description: Variables that have a previous value beside the new one.
  type: list
  elements: str
  returned: with O(step=introduce) and O(step=retire)
recent:
  description: Variables that were changed less than O(minimum_age_hours) ago and kept as they are.
  type: list
  elements: str
  returned: with O(step=introduce) and O(step=retire)
"""
