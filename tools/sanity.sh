#!/usr/bin/env bash
# Runs ansible-test sanity, which insists on a path that ends in ansible_collections/NAMESPACE/NAME.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
home=$(dirname "$(command -v ansible-test)")
# ansible-test only warns where it is missing.
if ! PATH="$home:/usr/bin:/bin" command -v shellcheck >/dev/null; then
  echo "shellcheck is missing: make venv installs it." >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ansible-test takes any python3.x on the PATH, a version manager's dead shim too: show it the ones that run.
mkdir "$work/bin"
for version in 3.11 3.12 3.13 3.14; do
  for candidate in $(type -aP "python$version") ~/.pyenv/versions/"$version".*/bin/python"$version"; do
    if real=$("$candidate" -c 'import sys; print(sys.executable)' 2>/dev/null); then
      ln -s "$real" "$work/bin/python$version"
      break
    fi
  done
done
echo "Interpreters: $(cd "$work/bin" && echo python3*)"

# ansible-test fetches get-pip from a host that is often closed; the interpreter's own pip does the same job.
mkdir -p ~/.ansible/test/cache
internal=$("$home/python" -c 'import ansible_test._internal as module; print(module.__path__[0])')
sed -n "s/.*pip='\([0-9.]*\)'.*/\1/p" "$internal/python_requirements.py" | sort -u | while read -r version; do
  stub=~/.ansible/test/cache/get_pip_${version//./_}.py
  [ -e "$stub" ] || cp "$tools/get_pip_stub.py" "$stub"
done

"$tools/copy_collection.sh" "$work"
cd "$work/ansible_collections/multinode/celery"
if compgen -G 'tests/sanity/ignore*' >/dev/null; then
  echo "An ignore file hides findings: fix them instead." >&2
  exit 1
fi
PATH="$work/bin:$home:/usr/bin:/bin" ansible-test sanity --local --color no "$@"
