#!/usr/bin/env bash
# Puts promtool and amtool into .venv/bin, out of Debian's packages: installing those would start their servers here.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 0755 "$folder"

cd "$folder"
apt-get download -qq prometheus prometheus-alertmanager 2>/dev/null || {
  apt-get update -qq
  apt-get download -qq prometheus prometheus-alertmanager 2>/dev/null
}
for package in ./*.deb; do
  dpkg-deb --extract "$package" .
done
install -m 0755 usr/bin/promtool usr/bin/amtool "$OLDPWD/.venv/bin/"
