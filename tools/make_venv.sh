#!/usr/bin/env bash
# Makes .venv with the locked tools and fetches the collections that the lab needs. Does nothing when both are there.
set -euo pipefail
cd "$(dirname "$0")/.."
# make puts the old .venv first, and it must not become the base of the new one.
PATH=${PATH//"$PWD/.venv/bin:"/}
wanted=$(cat requirements/dev.txt requirements/collections.txt "$0" | sha256sum | cut -c1-16)

if [ "$(cat .venv/.made-from 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c 'import ansible' 2>/dev/null; then
  exit 0
fi

# The newest interpreter from 3.11 on that really starts and that the lock is known to serve.
find_python() {
  local version candidate
  for version in 3.13 3.12 3.11; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
      if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "$candidate"
        return
      fi
    done
  done
  return 1
}
if ! python=$(find_python) || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "== Installing Python's venv from Debian"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3 python3-venv ca-certificates >/dev/null
  python=$(find_python)
fi

echo "== Making .venv with $("$python" --version)"
rm -rf .venv
"$python" -m venv .venv
# uv installs the lock ten times faster than pip; the machine's own trust store is used, as pip does.
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/uv.txt
VIRTUAL_ENV=$PWD/.venv .venv/bin/uv pip install --quiet --system-certs --require-hashes -r requirements/dev.txt

echo "== Unpacking the collections that the lab uses"
download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
.venv/bin/pip download --quiet --disable-pip-version-check --no-deps --ignore-requires-python --only-binary :all: \
  --require-hashes --dest "$download" -r requirements/collections.txt
.venv/bin/python - "$download"/ansible-*.whl .ansible/collections <<'PYTHON'
import sys
import zipfile

wheel, target = sys.argv[1:]
trees = tuple(f"ansible_collections/community/{name}/" for name in ("docker", "library_inventory_filtering_v1"))
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(target, [name for name in archive.namelist() if name.startswith(trees)])
PYTHON
echo "$wanted" >.venv/.made-from
