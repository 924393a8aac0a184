#!/usr/bin/env bash
# Starts the demo: nine hosts, the whole cluster deployed on them, real tasks sent through every queue.
set -euo pipefail
cd "$(dirname "$0")/.."
export ANSIBLE_FORCE_COLOR=${ANSIBLE_FORCE_COLOR-$([ -t 1 ] && echo 1 || echo 0)}
inventories=(-i inventories/prod -i .demo/inventory)
lab=(-e lab_name=demo -e lab_network=172.31.10.0/24 -e "lab_directory=$PWD/.demo")

step() { printf '\n== %s (%d min %02d s so far)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

step "1/5 Remove what an earlier demo left"
.venv/bin/ansible-playbook -i localhost, molecule/lab/destroy.yml "${lab[@]}"

step "2/5 Start nine hosts"
.venv/bin/ansible-playbook -i inventories/prod molecule/lab/create.yml "${lab[@]}"

step "3/5 Deploy the cluster with site.yml and inventories/prod"
.venv/bin/ansible-playbook "${inventories[@]}" site.yml

step "4/5 Send a canary through every queue of every worker"
.venv/bin/ansible-playbook "${inventories[@]}" playbooks/ops/verify.yml

step "5/5 Send tasks of examples/proj from scheduler-1"
tools/send_tasks.sh .demo scheduler-1

step "The cluster is up"
cat <<'TEXT'
Look at it    .venv/bin/ansible all -m ping -i inventories/prod -i .demo/inventory
              ssh -F .demo/ssh/config cpu-1 sudo celery-proj status
              ssh -F .demo/ssh/config cpu-1 sudo journalctl -u 'celery-worker-*' -f
Log in        ssh -F .demo/ssh/config broker-1        (sudo -i makes you root)
Send tasks    tools/send_tasks.sh .demo scheduler-1
Remove it     make demo-down
TEXT
