#!/usr/bin/env bash
# Runs the engine's tests as aarch64 code on another Linux machine: compiled across, run by qemu.
set -euo pipefail

usage() {
    cat <<'END'
usage: sudo scripts/test_arm64.sh [ROOT]
  ROOT is a folder with a small Debian of its own, made the first time (6 GB with what is built) and
  used again afterwards; /var/tmp/byteloom-arm64 by default. The compiler, qemu and aarch64's standard
  library come from there, crates from crates.io into it; nothing else of this machine is changed.
  Needs root and debootstrap.
environment
  PROPTEST_CASES    cases of each property; 64 by default
  SUITE, MIRROR     forky (the first with a new enough rustc), http://deb.debian.org/debian
END
}

case ${1-} in
-h | --help) usage; exit ;;
-*) usage >&2; exit 2 ;;
esac
root=${1:-/var/tmp/byteloom-arm64}
packages="rustc cargo rust-clippy gcc libc6-dev qemu-user
    libstd-rust-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
    echo "error: needs root and debootstrap (apt install debootstrap)" >&2
    exit 1
fi

if [ ! -e "$root/ready" ]; then
    # An older debootstrap does not know the newest names; they are all made as sid is.
    debootstrap --variant=minbase --include=ca-certificates \
        "${SUITE:-forky}" "$root" "${MIRROR:-http://deb.debian.org/debian}" sid
    # A mirror that stands still will do.
    echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90valid"
    chroot "$root" dpkg --add-architecture arm64
    chroot "$root" apt-get update --quiet
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install --quiet --yes --no-install-recommends $packages
    mkdir -p "$root/source" "$root/target"
    touch "$root/ready"
fi
# As this machine reaches crates.io, so does the one inside.
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

run() { # command...: in the sources, which it cannot change; the mounts are gone when it ends
    # shellcheck disable=SC2016
    unshare --mount sh -c '
        mount --bind "$1" "$2/source" && mount -o remount,bind,ro "$2/source" && mount -t proc proc "$2/proc"
        root=$2; shift 2
        exec chroot "$root" env --chdir=/source "$@"' sh "$(cd "$(dirname "$0")/.." && pwd)" "$root" \
        HOME=/root CARGO_HOME=/root/.cargo CARGO_TARGET_DIR=/target \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu \
        CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64 \
        PROPTEST_CASES="${PROPTEST_CASES:-64}" "$@"
}

run sh -c 'rustc --version; qemu-aarch64 --version | head -n 1'
run cargo clippy --locked --all-targets -- -D warnings
for scanner in neon scalar; do
    echo "== $scanner scanner"
    run BYTELOOM_SIMD=$scanner cargo test --locked --quiet --lib --test rust
done
