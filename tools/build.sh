#!/usr/bin/env bash
# Builds the tarball, installs it into an empty tree and uses it from there as a user would.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$checkout/tools/copy_collection.sh" "$work/source"
ansible-galaxy collection build --output-path "$work" "$work/source/ansible_collections/multinode/celery"
tarball=$(echo "$work"/multinode-celery-*.tar.gz)
mkdir "$work/elsewhere"
cd "$work/elsewhere"
# Nothing of the checkout may help: neither its ansible.cfg nor its tree of collections.
touch ansible.cfg
export ANSIBLE_CONFIG=$PWD/ansible.cfg ANSIBLE_COLLECTIONS_PATH="$work/installed" ANSIBLE_LOCALHOST_WARNING=false
ansible-galaxy collection install --offline --collections-path "$work/installed" "$tarball"
cp -r "$checkout/inventories" .

playbooks=()
for playbook in "$work"/installed/ansible_collections/multinode/celery/playbooks/{,ops/}*.yml; do
  name=${playbook#*/playbooks/}
  name=${name%.yml}
  playbooks+=("multinode.celery.${name//\//.}")
done
# What a playbook is made of is the same with every inventory.
ansible-playbook --syntax-check -i inventories/prod "${playbooks[@]}" >/dev/null
for inventory in dev test; do
  ansible-playbook --syntax-check -i "inventories/$inventory" multinode.celery.site >/dev/null
done

roles=$(ansible-doc --type role --list --json multinode.celery | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')
expected=$(find "$checkout/roles" -mindepth 3 -maxdepth 3 -path '*/meta/argument_specs.yml' | wc -l)
[ "$roles" -eq "$expected" ] || { echo "ansible-doc shows $roles of $expected roles" >&2; exit 1; }

plugins=0
for kind in module filter; do
  mapfile -t names < <(ansible-doc --type "$kind" --list --json multinode.celery | python3 -c 'import json, sys; print(*json.load(sys.stdin), sep="\n")')
  shown=$(ansible-doc --type "$kind" --json "${names[@]}" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')
  [ "$shown" -eq "${#names[@]}" ] || { echo "ansible-doc shows $shown of ${#names[@]} ${kind}s" >&2; exit 1; }
  plugins=$((plugins + shown))
done

[ $# -eq 0 ] || cp "$tarball" "$1"
echo "$(basename "$tarball"): ${#playbooks[@]} playbooks, $roles roles and $plugins plugins work from the installed collection"
