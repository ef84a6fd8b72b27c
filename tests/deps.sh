#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# deps.sh [bench | list] - install the Debian packages that building and testing need.
#
# Nothing missing: one dpkg-query and out. Something missing: installed with apt
# as root or through password-less sudo; otherwise the command to type is shown,
# and only a missing build package is an error (tests skip what they lack).
# `bench` adds what only `make bench` and `make proof` use. `list` prints what the
# build needs.
set -u

BUILD="gcc g++ make pkg-config git check libfuse3-dev fuse3
    libcurl4-openssl-dev liblmdb-dev libzstd-dev libgit2-dev libmicrohttpd-dev
    libjansson-dev libssl-dev libtomlplusplus-dev libxxhash-dev zlib1g-dev
    liblzma-dev libbz2-dev libbrotli-dev"
TEST="python3 curl jq gettext-base lighttpd git-lfs attr iproute2 psmisc strace shellcheck
    procps xz-utils zstd ca-certificates nix-bin cmake ninja-build bazel-bootstrap faketime
    python3-venv btrfs-progs systemd"
# Debian's, unless there is another one
command -v npm >/dev/null || TEST="$TEST npm"
BENCH="buildah debootstrap qemu-user-static flex bison bc libelf-dev rsync nginx-light"

if [ "${1:-}" = list ]; then
    # shellcheck disable=SC2086
    echo $BUILD
    exit
fi

missing_of() {
    local -A here=()
    local name status
    while read -r name status; do
        [ "$status" = installed ] && here[${name%%:*}]=1
    done < <(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" \
        2>/dev/null)
    for name; do
        [ "${here[$name]:-}" ] || printf '%s ' "$name"
    done
}

# shellcheck disable=SC2086 # lists of words
{
    [ "${1:-}" = bench ] && TEST="$TEST $BENCH"
    command -v dpkg-query >/dev/null || {
        echo "deps: not a Debian system; needed are the equivalents of:" $BUILD
        exit 0
    }
    build=$(missing_of $BUILD)
    extra=$(missing_of $TEST)
    [ "$build$extra" ] || exit 0
}

sudo=
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo="sudo -n"
    else
        echo "deps: these packages are missing; as root run:"
        echo "  apt-get install --no-install-recommends $build$extra"
        [ "$build" ] || echo "deps: (only tests need them: some will be skipped)"
        [ ! "$build" ]
        exit
    fi
fi

# --no-remove: never trade away something the owner of the machine installed
apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
        -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# A test server must not start as a service of the machine.
policy=/usr/sbin/policy-rc.d
made_policy=
no_services() {
    [ -e $policy ] && return
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null || return
    $sudo chmod 755 $policy
    made_policy=1
}
trap '[ -z "$made_policy" ] || $sudo rm -f "$policy"' EXIT
trap 'exit 130' INT TERM

log=$(mktemp)
# shellcheck disable=SC2086
install() {
    local try
    for try in 1 2 3 4; do
        apt install --no-install-recommends --no-remove "$@" >"$log" 2>&1 &&
            return 0
        [ "$try" -eq 4 ] && break
        [ "$try" -gt 1 ] && sleep $((try * 5))
        apt update >>"$log" 2>&1
    done
    tail -n 25 "$log"
    return 1
}

no_services
code=0
if [ "$build" ]; then
    echo "deps: installing $build"
    # shellcheck disable=SC2086
    install $build || {
        echo "deps: could not install what the build needs: $build"
        code=1
    }
fi
if [ "$extra" ] && [ $code -eq 0 ]; then
    echo "deps: installing $extra"
    # shellcheck disable=SC2086
    install $extra || for p in $extra; do
        install "$p" || echo "deps: no $p: the tests that need it are skipped"
    done
fi
rm -f "$log"
exit $code
