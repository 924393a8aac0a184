#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certificate
short_description: Give a host a key and a certificate of the cluster's CA
version_added: "1.0.0"
description:
  - Makes the CA in a directory of the controller where it does not exist, and tells the host which CAs it may trust.
  - The key of a host is made on the host and never leaves it. The controller issues the certificate for its public half.
  - A certificate is replaced, with a new key, before it expires, and when the names of the host, its key or the CA have changed.
    Where nothing is due this takes one round trip.
  - Where O(custom_certificate) is given, the user's own files are put in place instead.
  - Refuses to replace the CAs of a host by others that have none in common with them.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  ca_directory:
    description: Directory of the CA on the controller.
    type: path
    required: true
  ca_name:
    description: Name of the CA; a part of its key's identifier is added to it.
    type: str
    default: Celery cluster CA
  ca_days:
    description: How many days a new CA lives.
    type: int
    default: 3650
  ca_passphrase:
    description: Passphrase of the key of the CA; a key without one is written where it is empty.
    type: str
    default: ""
  ca_replace:
    description: Whether a host may be given a CA that has nothing in common with those it trusts.
    type: bool
    default: false
  names:
    description: Names and addresses that the certificate is for; the first is its subject.
    type: list
    elements: str
    required: true
  days:
    description: How many days a certificate lives.
    type: int
    default: 365
  renew_before_days:
    description: How many days before its end a certificate is replaced.
    type: int
    default: 30
  custom_certificate:
    description: Certificate of the host as text, followed by the intermediate ones.
    type: str
    default: ""
  custom_key:
    description: Key of O(custom_certificate), without a passphrase.
    type: str
    default: ""
  custom_ca:
    description: CAs that the hosts trust, as text, where O(custom_certificate) is given; where it is not, they are trusted beside the cluster's.
    type: str
    default: ""
  ca_path:
    description: File of the trusted CAs on the host.
    type: path
    required: true
  certificate_path:
    description: File of the certificate on the host.
    type: path
    required: true
  key_path:
    description: File of the key on the host.
    type: path
    required: true
  group:
    description: Group that may read the key.
    type: str
    required: true
  metrics_path:
    description: File that tells the node exporter when the certificates expire; none is written where it is empty.
    type: str
    default: ""
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Write the certificate of the host
  multinode.celery.tls_certificate:
    ca_directory: "{{ inventory_dir }}/tls"
    names: ["{{ inventory_hostname }}", 10.0.0.11]
    ca_path: /etc/multinode-tls/ca.pem
    certificate_path: /etc/multinode-tls/host.pem
    key_path: /etc/multinode-tls/host.key
    group: multinode-tls
"""

RETURN = r"""
reason:
  description: Why the host got a certificate; empty where its present one will do.
  returned: success
  type: str
changed_paths:
  description: Files that were written on the host, or would be in check mode.
  returned: success
  type: list
  elements: str
"""
