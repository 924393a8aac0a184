#!/usr/bin/env bash
# Runs the linters on a clean copy: in the checkout ansible-lint would walk through .venv, and the copy is under its own name.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
for program in shellcheck ruff mypy yamllint antsibull-changelog ansible-lint antsibull-docs; do
  if ! command -v "$program" >/dev/null; then
    echo "$program is missing: make venv installs it." >&2
    exit 1
  fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$tools/copy_collection.sh" "$work"
cd "$work/ansible_collections/multinode/celery"
export ANSIBLE_COLLECTIONS_PATH="$work:$tools/../.ansible/collections" ANSIBLE_CONFIG="$work/ansible.cfg"
touch "$ANSIBLE_CONFIG"

# The quick ones come first.
status=0
find . -name '*.sh' -exec shellcheck .ci/run {} + || status=1
ruff check --quiet --no-cache . || status=1
# From the collection's own directory it would know each plugin by two names.
(cd "$work" && mypy --no-error-summary --cache-dir=/dev/null --config-file "$OLDPWD/pyproject.toml") || status=1
yamllint --strict . || status=1
antsibull-changelog lint || status=1
ansible-lint --offline --project-dir . || status=1
# Its schema knows no templated default of a number; the unit tests check the roles' specs.
rm -r roles
antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck . || status=1
[ "$status" -ne 0 ] || echo "No finding"
exit "$status"
