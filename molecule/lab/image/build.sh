#!/usr/bin/env bash
# Builds the image of a lab host: build.sh RELEASE. The last line printed is its tag, which carries a hash of the
# recipe, of the files beside it and of what comes from this machine; an image that is there already is used.
set -euo pipefail
cd "$(dirname "$0")"
release=${1:?usage: build.sh RELEASE}

# What works on this machine works from its containers: its Debian mirrors, certificate authorities and Python index.
mirror() { apt-get indextargets --format "\$(SITE) \$(LABEL)" 'Created-By: Packages' | awk -v label="$1" '$2 == label { print $1; exit }'; }
main=$(mirror Debian)
security=$(mirror Debian-Security)
index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
authorities=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
if [ -z "$main" ]; then
  echo "apt has no list of the Debian archive: run apt-get update" >&2
  exit 1
fi
sources="deb $main $release main
deb $main $release-updates main
deb ${security:-$main-security} $release-security main"

packages=(
  ca-certificates dbus iproute2 iputils-ping nftables openssh-server procps python3 python3-apt sudo systemd systemd-sysv
)
recipe=$({ cat "$authorities" build.sh; find etc -type f -print -exec cat {} +; echo "$sources $index"; } | sha256sum)
tag=multinode-celery-lab:$release-${recipe:0:12}
if docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag"
  exit 0
fi

echo "Building $tag, which takes about a minute" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r etc "$work/etc"
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ncache-dir = /var/cache/pip\ntimeout = 120\n%s\n' "${index:+index-url = $index}" >"$work/etc/pip.conf"
chown -R root:root "$work/etc"
chmod -R u=rwX,go=rX "$work/etc"
chmod 0440 "$work/etc/sudoers.d/operator"

# A lab host is thrown away: it need not survive a power cut, and nobody reads its manuals. The lists of packages
# stay, as on a machine that was installed today.
mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" --skip=cleanup/apt/lists \
  --aptopt='Acquire::Languages "none"' --dpkgopt='force-unsafe-io' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="copy-in '$work/etc' /" \
  --customize-hook="upload '$authorities' /etc/ssl/certs/ca-certificates.crt" \
  --customize-hook="chroot \"\$1\" useradd --create-home --no-user-group --gid users --shell /bin/bash operator" \
  --customize-hook="chroot \"\$1\" systemctl --quiet enable ssh.service lab-kernel-parameters.service" \
  --customize-hook="chroot \"\$1\" systemctl --quiet mask systemd-modules-load.service systemd-udevd.service apt-daily.timer apt-daily-upgrade.timer" \
  --customize-hook="rm -f \"\$1\"/etc/ssh/ssh_host_* && : >\"\$1/etc/machine-id\"" \
  "$release" "$work/root.tar" - <<<"$sources" >&2
docker import --change 'CMD ["/sbin/init"]' "$work/root.tar" "$tag" >/dev/null
echo "$tag"
