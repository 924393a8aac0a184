#!/usr/bin/env bash
# Runs the linters on a clean copy: in the checkout ansible-lint would walk through .venv, and the copy is under its own name.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$tools/copy_collection.sh" "$work"
cd "$work/ansible_collections/multinode/celery"
export ANSIBLE_COLLECTIONS_PATH="$work:$tools/../.ansible/collections" ANSIBLE_CONFIG="$work/ansible.cfg"
touch "$ANSIBLE_CONFIG"

status=0
yamllint --strict . || status=1
ansible-lint --offline --project-dir . || status=1
antsibull-changelog lint || status=1
# Its schema knows no templated default of a number; the unit tests check the roles' specs.
rm -r roles
antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck . || status=1
[ "$status" -ne 0 ] || echo "No finding"
exit "$status"
