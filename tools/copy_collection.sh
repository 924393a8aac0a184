#!/usr/bin/env bash
# Copies what git would carry, uncommitted changes included, to DIRECTORY/ansible_collections/multinode/celery.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
target="$1/ansible_collections/multinode/celery"
mkdir -p "$target"
cd "$(dirname "$0")/.."
# The link in .collections leads back to the checkout, where linters would walk in circles.
git ls-files -z --cached --others --exclude-standard --deduplicate -- . ":!.collections" |
  while IFS= read -r -d '' file; do
    # A file deleted but not yet committed is still in git's list.
    if [ -e "$file" ]; then printf '%s\0' "$file"; fi
  done |
  tar --create --null --files-from=- | tar --extract --directory "$target"
