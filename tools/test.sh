#!/usr/bin/env bash
# Runs every check and test: tools/test.sh [STAGE]… runs only the stages named. A failed stage does not keep the
# others from running, except that some need the hosts of the cluster. The checks that need no hosts and the scenarios
# that have hosts of their own run beside the cluster; their output is shown when they end.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
logs=reports/test
mkdir -p "$logs"
rm -f "$logs/destroy.row"
export PATH="$PWD/.venv/bin:$PATH" MOLECULE_COMMAND_BORDERS=0
# With it pytest's summary gives the reason of a failure in full.
export CI=${CI:-true}

declare -A commands=(
  [lint]="make --no-print-directory lint"
  [docs-check]="make --no-print-directory docs-check"
  [unit]="make --no-print-directory unit"
  [build]="make --no-print-directory build"
  [importer]="make --no-print-directory importer"
  [sanity]="make --no-print-directory sanity"
  [cluster]="molecule_on_fresh_hosts cluster"
  # On the hosts that the cluster scenario leaves, deployed as it left them.
  [operations]="molecule verify -s operations"
  [monitoring]="molecule verify -s monitoring"
  [security]="molecule verify -s security"
  # With the shorter timeouts of its own.
  [faults]="molecule_on_present_hosts faults"
  [options]="molecule test -s options"
  [single]="molecule test -s single"
)
beside=(lint docs-check unit build importer sanity single options)
stages=("${beside[@]}" cluster operations monitoring security faults)
# `--destroy=never` keeps molecule from destroying leftovers, too.
molecule_on_fresh_hosts() { molecule destroy -s "$1" && molecule test --destroy=never -s "$1"; }
molecule_on_present_hosts() { molecule converge -s "$1" && molecule verify -s "$1"; }
# Must report tests that ran; of the others the exit status counts.
tested=" unit cluster operations monitoring security faults options single "
[ $# -eq 0 ] || stages=("$@")

# A log without its colours.
plain() { sed 's/\x1b\[[0-9;]*m//g' "$1"; }

# Adds up the results of pytest in a log: `count passed LOG`.
count() {
  plain "$2" | grep -E '^=+ .* in [0-9.]+s.*=+$|^[0-9]+ (passed|failed|skipped|error).* in [0-9.]+s' |
    grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'
}

# Runs one stage and leaves its output in its log, its line of the table beside it.
run_stage() {
  local stage=$1 begun=$SECONDS result=passed log=$logs/$1.log passed failed
  rm -f "$logs/$stage.row"
  ${commands[$stage]} 2>&1 </dev/null | tee "$log"
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
  printf '%s %s %s %s %s\n' "$stage" "$result" "$passed" "$failed" $((SECONDS - begun)) >"$logs/$stage.row"
}

announce() { printf '\n==== %s (%d min so far)\n' "$1" $((SECONDS / 60)); }

run_beside() {
  local stage
  for stage in "$@"; do
    run_stage "$stage" >/dev/null
    # In one piece, so that it does not mix with what else is shown.
    printf '%s\n' "$(announce "$stage, which ran beside"; cat "$logs/$stage.log")"
  done
}

first=() then=()
for stage in "${stages[@]}"; do
  if [[ " ${beside[*]} " == *" $stage "* ]]; then first+=("$stage"); else then+=("$stage"); fi
done
run_beside "${first[@]}" &
checks=$!
for stage in "${then[@]}"; do
  # Measures gaps of seconds and counts losses, so it has the machine to itself.
  [ "$stage" != faults ] || wait "$checks"
  announce "$stage"
  run_stage "$stage"
done
wait
if [[ " ${stages[*]} " == *" cluster "* ]]; then
  molecule destroy -s cluster >"$logs/destroy.log" 2>&1 || printf 'destroy FAILED 0 1 0\n' >"$logs/destroy.row"
fi

for stage in "${stages[@]}"; do
  # One without a row broke before it could write it.
  ! grep -q ' passed ' "$logs/$stage.row" 2>/dev/null || continue
  # The summary of pytest, or else how the log ends.
  reasons=$(plain "$logs/$stage.log" | sed -n '/^=* short test summary info/,/^=* [0-9].* in /p' | cut -c1-2000)
  printf '\n==== Why %s failed\n%s\n' "$stage" "${reasons:-$(tail -n 30 "$logs/$stage.log")}"
done

total_passed=0
total_failed=0
printf '\n%-12s %-7s %6s %6s %7s\n' stage result passed failed time
for stage in "${stages[@]}" destroy; do
  [ "$stage" != destroy ] || [ -e "$logs/destroy.row" ] || continue
  read -r name result passed failed seconds <"$logs/$stage.row" || { name=$stage result=FAILED passed=0 failed=1 seconds=0; }
  printf '%-12s %-7s %6d %6d %5d s\n' "$name" "$result" "$passed" "$failed" "$seconds"
  total_passed=$((total_passed + passed))
  total_failed=$((total_failed + failed))
done
printf 'In all %d min %02d s\n\n%d passed, %d failed\n' $((SECONDS / 60)) $((SECONDS % 60)) "$total_passed" "$total_failed"
[ "$total_failed" -eq 0 ]
