#!/usr/bin/env bash
# Builds the fuzz targets and runs each for a while. No more is needed than the stable compiler and a
# C++ compiler: the flags are those of cargo-fuzz (but comparisons are not traced, which took a third of
# the time and finds little in structured inputs), and the sanitizer, whose flag is not stable, is allowed
# by RUSTC_BOOTSTRAP.
set -euo pipefail

usage() {
    cat <<'END'
usage: fuzz/run.sh SECONDS [TARGET...]
  SECONDS    how long each target runs; 0 only builds, replays the corpus and stops
  TARGET     those of fuzz/targets; all by default
environment
  SANITIZER=address|none    finds wrong memory accesses too, or runs about twice as fast (address)
  BYTELOOM_SIMD=...         forces one of the engine's scanners
What a target found lies in fuzz/artifacts/TARGET; what it learned is kept in fuzz/corpus/TARGET.
END
}

case ${1-} in
'' | -h | --help) usage; exit ;;
*[!0-9]*) echo "error: $1 is no number of seconds" >&2; usage >&2; exit 2 ;;
esac
seconds=$1
shift
cd "$(dirname "$0")"
all=$(cd targets && ls ./*.rs | sed 's|./\(.*\)\.rs|\1|')
targets=${*:-$all}
for target in $targets; do
    [ -f "targets/$target.rs" ] || { echo "error: no target $target; there are" $all >&2; exit 2; }
done

# The seeds come from an ordinary build.
cargo run --quiet --release --bin seeds -- corpus

host=$(rustc -vV | sed -n 's/^host: //p')
sanitizer=${SANITIZER:-address}
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Ccodegen-units=1"
case $sanitizer in
none) ;;
address)
    flags="$flags -Zsanitizer=address"
    export RUSTC_BOOTSTRAP=1
    ;;
*) echo "error: SANITIZER is $sanitizer; it can be address or none" >&2; exit 2 ;;
esac

# With --target, the flags are for the targets and not for what runs while they are built.
export RUSTFLAGS="$flags"
bins=$(for target in $targets; do echo "--bin $target"; done)
# shellcheck disable=SC2086
cargo build --quiet --release --target "$host" --target-dir "target/$sanitizer" $bins

runs=
[ "$seconds" -gt 0 ] || runs=-runs=0
failed=
for target in $targets; do
    echo "== $target, $seconds seconds"
    mkdir -p "artifacts/$target" "corpus/$target"
    # Memory and time that an input may take: a reader that blows up is a find.
    "target/$sanitizer/$host/release/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" \
        -max_total_time="$seconds" $runs -timeout=60 -rss_limit_mb=2048 -malloc_limit_mb=1024 \
        -print_final_stats=1 2>"artifacts/$target.log" || failed="$failed $target"
    grep -E "^stat::(number_of_executed_units|average_exec|peak_rss)" "artifacts/$target.log" || true
    grep -E "cov: " "artifacts/$target.log" | tail -1 || true
done
if [ -n "$failed" ]; then
    for target in $failed; do
        echo "FOUND by $target; the log is fuzz/artifacts/$target.log:"
        grep -E "panicked at|ERROR:|SUMMARY|Test unit written" -A 3 "artifacts/$target.log" | head -12
    done
    exit 1
fi
echo "nothing was found"
