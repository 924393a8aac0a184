#!/usr/bin/env bash
# Fetches what a host without a way out needs, by the commands of docs/air_gap.md as they are there:
# collect.sh RELEASE FOLDER puts Debian packages into FOLDER/mirror, Python packages into FOLDER/wheels.
set -euo pipefail
cd "$(dirname "$0")/../.."
release=${1:?a release of Debian}
mkdir -p "${2:?a folder}"
folder=$(realpath "$2")
root=$PWD
export PATH="$root/.venv/bin:$PATH"
rm -rf "$folder/mirror" "$folder/wheels"
mkdir "$folder/mirror"
case $release in
  bookworm) python=3.11 ;;
  trixie) python=3.13 ;;
esac

# The commands under a heading of the documentation.
commands() {
  local found
  found=$(awk -v heading="### $1" '$0 == heading { inside = 1; next } /^#/ { inside = 0 } inside && sub(/^    /, "")' docs/air_gap.md)
  printf 'set -eu\n%s\n' "${found:?nothing under $1}"
}

# A fresh machine of the release, on a network that has a way out.
debian_packages() {
  local image
  image=$(molecule/lab/image/build.sh "$release")
  { commands 'Collect the Debian packages'; echo "chown -R $(id -u) /srv/mirror"; } |
    docker run --rm --interactive --volume "$folder/mirror:/srv/mirror" "$image" sh
}

python_packages() {
  local script
  script=$(commands 'Collect the wheels' | sed "s/--python-version [0-9.]*/--python-version $python/")
  ln -sf "$root/examples/proj.lock" "$root/roles" "$folder"
  (cd "$folder" && sh -c "$script")
}

debian_packages >"$folder/mirror.log" 2>&1 &
debian=$!
python_packages >"$folder/wheels.log" 2>&1 || { tail -n 30 "$folder/wheels.log" >&2; exit 1; }
wait "$debian" || { tail -n 30 "$folder/mirror.log" >&2; exit 1; }
