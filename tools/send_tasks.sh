#!/usr/bin/env bash
# Sends tasks of examples/proj from a host of a lab: send_tasks.sh LAB_DIRECTORY HOST
set -euo pipefail
cd "$(dirname "$0")/.."
lab=${1:?the directory of a lab, for example .demo}
host=${2:?a host that has the application, for example scheduler-1}
ssh -F "$lab/ssh/config" "$host" sudo -u celery env --chdir=/var/lib/celery \
  PYTHONPATH=/etc/celery/proj:/opt/celery/proj/current/src CELERY_CONFIG_MODULE=celeryconfig \
  /opt/celery/proj/current/venv/bin/python -u - <examples/send_tasks.py
