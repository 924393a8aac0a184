#!/usr/bin/env bash
# Runs every check and test: tools/test.sh [STAGE]… runs only the stages named. A failed stage does not keep the
# others from running, except that the faults need the hosts of the cluster.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=reports/test
mkdir -p "$logs"
export PATH="$PWD/.venv/bin:$PATH" MOLECULE_COMMAND_BORDERS=0

declare -A commands=(
  [lint]="make --no-print-directory lint"
  [docs-check]="make --no-print-directory docs-check"
  [unit]="make --no-print-directory unit"
  [build]="make --no-print-directory build"
  [importer]="make --no-print-directory importer"
  [sanity]="make --no-print-directory sanity"
  [cluster]="molecule_on_fresh_hosts cluster"
  # On the hosts that the cluster scenario leaves, with the shorter timeouts of its own.
  [faults]="molecule_on_present_hosts faults"
  [options]="molecule test -s options"
  [single]="molecule test -s single"
)
stages=(lint docs-check unit build importer sanity cluster faults options single)
# `--destroy=never` keeps molecule from destroying leftovers, too.
molecule_on_fresh_hosts() { molecule destroy -s "$1" && molecule test --destroy=never -s "$1"; }
molecule_on_present_hosts() { molecule converge -s "$1" && molecule verify -s "$1"; }
# Must report tests that ran; the others are judged by their exit status.
tested=" unit cluster faults options single "
[ $# -eq 0 ] || stages=("$@")

# Adds up what pytest says in a log: `count passed LOG`.
count() {
  sed 's/\x1b\[[0-9;]*m//g' "$2" | grep -E '^=+ .* in [0-9.]+s.*=+$|^[0-9]+ (passed|failed|skipped|error).* in [0-9.]+s' |
    grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'
}

total_passed=0
total_failed=0
rows=()
for stage in "${stages[@]}"; do
  printf '\n==== %s (%d min so far)\n' "$stage" $((SECONDS / 60))
  begun=$SECONDS
  result=passed
  log=$logs/$stage.log
  ${commands[$stage]} 2>&1 | tee "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || result=FAILED
  passed=$(count passed "$log")
  failed=$(($(count failed "$log") + $(count error "$log")))
  # A stage of tests that ran none has failed, and a stage that breaks before it can count is one failure.
  if [[ $tested == *" $stage "* ]] && [ "$passed" -eq 0 ]; then
    result=FAILED
  fi
  if [ "$result" = FAILED ] && [ "$failed" -eq 0 ]; then
    failed=1
  fi
  total_passed=$((total_passed + passed))
  total_failed=$((total_failed + failed))
  rows+=("$(printf '%-12s %-7s %6d %6d %5d s' "$stage" "$result" "$passed" "$failed" $((SECONDS - begun)))")
done
if [[ " ${stages[*]} " == *" cluster "* ]]; then
  molecule destroy -s cluster >"$logs/destroy.log" 2>&1 || total_failed=$((total_failed + 1))
fi

printf '\n%-12s %-7s %6s %6s %7s\n' stage result passed failed time
printf '%s\n' "${rows[@]}"
printf 'In all %d min %02d s\n\n%d passed, %d failed\n' $((SECONDS / 60)) $((SECONDS % 60)) "$total_passed" "$total_failed"
[ "$total_failed" -eq 0 ]
