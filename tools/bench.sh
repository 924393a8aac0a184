#!/usr/bin/env bash
# Measures the cluster in a lab of its own, prints the tables and keeps them in reports/: bench.sh [PART]…
# bench.sh --help names the parts; all of them are measured unless some are named.
set -euo pipefail
cd "$(dirname "$0")/.."
# The hosts, the load and the faults are the lab's, which the tests use, too.
PYTHONPATH=molecule exec .venv/bin/python tools/bench/bench.py "$@"
