#!/usr/bin/env bash
# Makes sure that a Docker engine answers: uses the one that runs, else starts one, else installs it first.
set -euo pipefail

answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
missing=()
command -v docker >/dev/null || missing+=(docker.io)
if ! answers; then
  command -v dockerd >/dev/null || missing+=(docker.io iptables)
fi
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v ssh >/dev/null || missing+=(openssh-client)
if [ ${#missing[@]} -gt 0 ]; then
  echo "== Installing ${missing[*]} from Debian"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi
make_room() {
  # On cgroup v1 all containers together weigh as much as one process of the machine, and nine hosts starve.
  if [ -w /sys/fs/cgroup/cpu/cpu.shares ]; then
    mkdir -p /sys/fs/cgroup/cpu/docker
    echo 20480 >/sys/fs/cgroup/cpu/docker/cpu.shares
  fi
  # Each systemd takes half a dozen; with 128, the default, the twentieth host ends as soon as it starts.
  if [ "$(cat /proc/sys/fs/inotify/max_user_instances)" -lt 512 ]; then
    echo 512 >/proc/sys/fs/inotify/max_user_instances ||
      echo "fs.inotify.max_user_instances stays below 512: not all test hosts may start" >&2
  fi
}
if answers; then
  make_room
  exit 0
fi

echo "== Starting the Docker engine"
# A machine with systemd starts its own; elsewhere the daemon is started by hand.
if [ -d /run/systemd/system ]; then
  systemctl start docker
else
  # A pid file that outlived its daemon keeps the next one from starting.
  for pid_file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
    if [ -f "$pid_file" ] && ! grep -qsE '^(dockerd|containerd)$' "/proc/$(cat "$pid_file")/comm"; then
      rm -f "$pid_file"
    fi
  done
  setsid nohup dockerd >/var/log/dockerd.log 2>&1 </dev/null &
fi
for _ in $(seq 60); do
  if answers; then
    make_room
    exit 0
  fi
  sleep 1
done
echo "The Docker engine does not answer after a minute:" >&2
tail -n 20 /var/log/dockerd.log >&2 || true
exit 1
