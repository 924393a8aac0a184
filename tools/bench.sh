#!/usr/bin/env bash
# Measures the cluster in a lab of its own, prints the tables and keeps them in reports/: bench.sh [PART]…
# bench.sh --help names the parts; all of them are measured unless some are named.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python tools/bench/bench.py "$@"
