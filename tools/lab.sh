#!/usr/bin/env bash
# Starts and removes a lab: test hosts of any inventory, for development by hand.
#   lab.sh up NAME INVENTORY NETWORK [RELEASE] [-e VARIABLE=…]…   lab.sh down NAME
# Afterwards: ansible all -m ping -i INVENTORY -i .lab/NAME/inventory
set -euo pipefail
cd "$(dirname "$0")/.."
verb=${1:?up or down}
name=${2:?a name for the lab}

case $verb in
  up)
    inventory=${3:?an inventory, for example inventories/prod}
    network=${4:?a network, for example 172.31.20.0/24}
    .venv/bin/ansible-playbook -i "$inventory" molecule/lab/create.yml \
      -e lab_name="$name" -e lab_network="$network" -e lab_release="${5:-bookworm}" "${@:6}"
    ;;
  down)
    .venv/bin/ansible-playbook -i localhost, molecule/lab/destroy.yml -e lab_name="$name" "${@:3}"
    ;;
  *)
    echo "lab.sh: up or down, not $verb" >&2
    exit 2
    ;;
esac
