#!/usr/bin/env bash
# Runs one target in several processes, which share what they learn through the folder of its corpus.
# They need no compiler: binaries may come from elsewhere.
set -euo pipefail

usage() {
    cat <<'END'
usage: fuzz/workers.sh SECONDS WORKERS CORPUS ARTIFACTS BINARY...
  SECONDS    how long they run; 0 replays the corpus and stops
  WORKERS    how many processes
  CORPUS     a folder of inputs to begin with, to which new ones are added
  ARTIFACTS  a folder for what is found and for logs
  BINARY     the target, built in one or more ways, which the processes take in turns
environment
  SIMDS="avx512 avx2 scalar"    scanners to be forced in turns; by default, each takes the best
  TMPDIR                        for the targets' files; by default, memory
It ends with a line: target, seconds of processor, inputs, coverage, finds.
END
}

[ $# -ge 5 ] || { usage >&2; exit 2; }
seconds=$1 workers=$2 corpus=$3 artifacts=$4
shift 4
binaries=("$@")
read -ra simds <<<"${SIMDS-}"
mkdir -p "$corpus" "$artifacts"
# Memory that an input may take.
memory=2048
deadline=$(($(date +%s) + seconds))

if [ -z "${TMPDIR-}" ]; then
    shared=/dev/shm
    [ -d $shared ] || shared=/tmp
    TMPDIR=$(mktemp -d "$shared/byteloom-fuzz-XXXXXX")
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
fi

# A worker begins again after a find, but not for ever: the next may be the same.
work() {
    local number=$1 binary=${binaries[$(($1 % ${#binaries[@]}))]} left
    if [ ${#simds[@]} -gt 0 ]; then
        # All scanners with all binaries, in the end.
        BYTELOOM_SIMD=${simds[$(((number + number / ${#binaries[@]}) % ${#simds[@]}))]}
        export BYTELOOM_SIMD
    fi
    for try in 1 2 3 4 5; do
        left=$((deadline - $(date +%s)))
        [ "$seconds" -eq 0 ] || [ "$left" -gt 0 ] || break
        local options=("-max_total_time=$left")
        [ "$seconds" -gt 0 ] || options=(-runs=0)
        # A reader that blows up is a find.
        "$binary" "$corpus" -artifact_prefix="$artifacts/" "${options[@]}" -timeout=60 \
            -rss_limit_mb=$memory -malloc_limit_mb=$((memory / 2)) -print_final_stats=1 \
            2>"$artifacts/$deadline-$number-$try.log" && break
    done
}

# Of earlier runs, the logs of finds are kept.
find "$artifacts" -name '*.log' ! -exec grep -qa 'ERROR: ' {} \; -delete
for ((number = 0; number < workers; number++)); do
    work "$number" &
done
wait

finds=$(find "$artifacts" -type f ! -name '*.log' | wc -l)
times >"$artifacts/times"
processor=$(tail -1 "$artifacts/times" | tr 'ms' '  ' | awk '{ printf "%d", $1 * 60 + $2 + $3 * 60 + $4 }')
rm "$artifacts/times"
logs=("$artifacts/$deadline"-*.log)
inputs=$(cat "${logs[@]}" | awk '/^stat::number_of_executed_units/ { n += $2 } END { print n + 0 }')
coverage=$(cat "${logs[@]}" | sed -n 's/.*cov: \([0-9]*\).*/\1/p' | sort -n | tail -1)
silent=$(grep -L '^stat::number_of_executed_units' "${logs[@]}" || true)
if [ -n "$silent" ]; then
    printf 'error: these did not run to their end:\n%s\n' "$silent" >&2
    exit 2
fi
echo "$(basename "${binaries[0]}") ${processor} ${inputs} ${coverage:-0} ${finds}"
[ "$finds" -eq 0 ]
