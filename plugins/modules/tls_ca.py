#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_ca
short_description: Take one step from one CA to the next
version_added: "1.0.0"
description:
  - Changes the CA directory of M(multinode.celery.tls_certificate) on the controller; contacts no host.
  - The hosts must have reached each step before the next one is taken.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  path:
    description: Directory of the CA on the controller.
    type: path
    required: true
  phase:
    description:
      - V(introduce) makes the next CA, which is trusted beside the present one and signs nothing.
      - V(switch) lets the next CA sign; the previous one is still trusted, its key is removed.
      - V(retire) trusts the previous one no longer.
    type: str
    choices: [introduce, switch, retire]
    required: true
  name:
    description: Name of a new CA; a part of its key's identifier is added to it.
    type: str
    default: Celery cluster CA
  days:
    description: How many days a new CA lives.
    type: int
    default: 3650
  passphrase:
    description: Passphrase of the keys; the same for both CAs.
    type: str
    default: ""
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Create the next CA
  multinode.celery.tls_ca:
    path: "{{ inventory_dir }}/tls"
    phase: introduce
"""

RETURN = r"""
trusted:
  description: Names of the CAs that the hosts will trust, the one that signs first.
  returned: success
  type: list
  elements: str
"""
