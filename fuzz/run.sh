#!/usr/bin/env bash
# Builds the fuzz targets (build.sh) and runs each for a while (workers.sh).
set -euo pipefail

usage() {
    cat <<'END'
usage: fuzz/run.sh SECONDS [TARGET...]
  SECONDS    how long each target runs; 0 only builds, replays the corpus and stops
  TARGET     those of fuzz/targets; all by default
environment
  SANITIZER=address|none    finds wrong memory accesses too, or runs about twice as fast (address)
  WORKERS=N                 processes of each target, which share what they learn (1)
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
targets=${*:-$(cd targets && ls ./*.rs | sed 's|./\(.*\)\.rs|\1|')}
# shellcheck disable=SC2086
binaries=$(./build.sh $targets)

found=
for target in $targets; do
    echo "== $target, $seconds seconds"
    mkdir -p "artifacts/$target"
    ./workers.sh "$seconds" "${WORKERS:-1}" "corpus/$target" "artifacts/$target" \
        "$binaries/$target" |
        awk '{ print $2 " s of processor, " $3 " inputs, coverage " $4 ", " $5 " finds" }' ||
        found="$found $target"
done
if [ -n "$found" ]; then
    for target in $found; do
        echo "FOUND by $target; the logs are fuzz/artifacts/$target/*.log:"
        grep -haE "panicked at|ERROR:|SUMMARY|Test unit written" -A 3 "artifacts/$target"/*.log | head -12
    done
    exit 1
fi
echo "nothing was found"
