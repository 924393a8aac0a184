#!/usr/bin/env bash
# Checks the built tarball with Galaxy's own importer; a warning counts as an error.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
# The importer pins versions that the other tools cannot live with, so it has an environment of its own.
importer=${IMPORTER_VENV:-$tools/../.venv-importer}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$tools/copy_collection.sh" "$work"
(cd "$work/ansible_collections/multinode/celery" && "$importer/bin/ansible-galaxy" collection build --output-path "$work" >/dev/null)
cat >"$work/galaxy-importer.cfg" <<'CONFIG'
[galaxy-importer]
RUN_ANSIBLE_TEST = False
CHECK_REQUIRED_TAGS = True
CONFIG
cd "$work"
status=0
cat >"$work/importer.py" <<'PYTHON'
"""Runs the importer, whose linter has three minutes on a machine that does nothing else; here it has more."""

from galaxy_importer import main
from galaxy_importer.loaders import collection


class PatientPopen(collection.Popen):
    def communicate(self, input=None, timeout=None):
        return super().communicate(input, timeout and 6 * timeout)


collection.Popen = PatientPopen
raise SystemExit(main.main())
PYTHON
PATH="$importer/bin:$PATH" GALAXY_IMPORTER_CONFIG="$work/galaxy-importer.cfg" \
  "$importer/bin/python" importer.py multinode-celery-*.tar.gz 2>&1 | tee importer.log || status=1
if [ "$status" -ne 0 ] || grep -E '^(WARNING|ERROR)' importer.log >/dev/null || ! grep -q 'Importer processing completed successfully' importer.log; then
  echo "The importer has complaints; see above." >&2
  exit 1
fi
