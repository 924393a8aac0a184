#!/usr/bin/env bash
# Takes the pictures of docs/images from a living lab: tools/screenshot.sh [LAB_DIRECTORY [MONITORING_HOST]]
# The demo has them after some work: make demo && tools/send_tasks.sh .demo scheduler-1 && tools/screenshot.sh
set -euo pipefail
cd "$(dirname "$0")/.."
lab=${1:-.demo}
host=${2:-monitor-1}
port=9080
images=docs/images

for program in chromium pngquant; do
  command -v "$program" >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium pngquant fonts-inter; }
done
profile=$(mktemp -d)
.venv/bin/python tools/show_proxy.py "$lab" "$host" "$port" &
trap 'kill $!; rm -rf "$profile"' EXIT
for _ in {1..50}; do
  curl -fso /dev/null "http://127.0.0.1:$port/" && break
  sleep 0.2
done

# shot NAME WIDTH HEIGHT SCHEME: 1 is light, 0 is dark.
shot() {
  for _ in {1..5}; do
    # Its picture below decides: it also fails where only its own services are missing.
    chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$profile" \
      --blink-settings="preferredColorScheme=$4" --window-size="$2,$3" \
      --virtual-time-budget=10000 --screenshot="$profile/$1.png" "http://127.0.0.1:$port/#15min" 2>/dev/null || true
    pngquant --force --strip --speed 1 --output "$images/$1.png" "$profile/$1.png"
    # A page without answers of a busy machine is a much smaller picture.
    [ "$(stat -c %s "$images/$1.png")" -lt 30000 ] || break
  done
  ls -l "$images/$1.png"
}
mkdir -p "$images"
shot overview 1228 1200 1
shot overview-dark 1228 1200 0
shot overview-phone 500 2640 1
