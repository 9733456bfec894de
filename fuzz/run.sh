#!/usr/bin/env bash
# Fuzzes every reader of bytes from outside, by coverage, with the stable compiler and libFuzzer. Needs g++ (or clang++).
#
#   fuzz/run.sh [seconds] [target...]     e.g. fuzz/run.sh 3600, fuzz/run.sh 600 ivms letters
#
# Without anything: two minutes for every target. FUZZ_JOBS targets run beside each other (default: the cores). Corpora grow in
# fuzz/corpus, inputs that break a law come to fuzz/artifacts, and fuzz/results.md gets a table. Ends with 1 if anything was found.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-120}
[ $# -gt 0 ] && shift
jobs=${FUZZ_JOBS:-$(nproc)}

# Instrumented without a nightly compiler: the pass is part of every rustc, and libFuzzer reads what it leaves.
flags="--cfg fuzzing -Cpasses=sancov-module"
for part in level=4 inline-8bit-counters pc-table trace-compares; do
  flags="$flags -Cllvm-args=-sanitizer-coverage-$part"
done
flags="$flags -Ccodegen-units=16"
# A target of its own keeps the flags away from build scripts and macros.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS=$flags CARGO_TARGET_DIR=target cargo build --release --locked --target "$host"
fuzz=$PWD/target/$host/release/fuzz

mkdir -p corpus artifacts logs
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(COUNTERSIGN_FUZZ=list "$fuzz"); fi

one() {
  local name=$1 status=0
  mkdir -p "corpus/$name" "artifacts/$name"
  COUNTERSIGN_FUZZ=$name COUNTERSIGN_FUZZ_SEEDS=corpus/$name "$fuzz" >/dev/null
  [ -d "seeds/$name" ] && cp -n "seeds/$name"/* "corpus/$name/" 2>/dev/null || true
  COUNTERSIGN_FUZZ=$name "$fuzz" "corpus/$name" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 \
    -malloc_limit_mb=512 -artifact_prefix="artifacts/$name/" -print_final_stats=1 >"logs/$name" 2>&1 || status=$?
  local runs units new cov
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "logs/$name")
  cov=$(grep -o 'cov: [0-9]*' "logs/$name" | tail -1 | cut -d' ' -f2)
  units=$(grep -o 'corp: [0-9]*' "logs/$name" | tail -1 | cut -d' ' -f2)
  new=$(find "artifacts/$name" -type f | wc -l)
  printf '| `%s` | %s | %s | %s | %s |\n' "$name" "${runs:-?}" "${cov:-?}" "${units:-?}" "$new" >"logs/$name.row"
  printf '%s: %s runs, %s edges, %s inputs kept, %s found (exit %s)\n' "$name" "${runs:-?}" "${cov:-?}" "${units:-?}" "$new" "$status"
  return "$status"
}
export -f one
export fuzz seconds
found=0
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I{} bash -c 'one {}' || found=1
{
  printf '%s, %s s each, %s beside each other, %s\n\n' "$(date -u +%F)" "$seconds" "$jobs" "$(rustc -V)"
  printf '| target | runs | edges | inputs kept | found |\n|---|---:|---:|---:|---:|\n'
  for name in "${targets[@]}"; do cat "logs/$name.row" 2>/dev/null || true; done
} >results.md
[ "$found" = 0 ] || { echo "something was found: see fuzz/artifacts and fuzz/logs"; exit 1; }
