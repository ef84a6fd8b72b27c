#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 7200
# The dev image, built from packaging/Dockerfile without a container engine: buildah
# in a chroot, on Debian bases from debootstrap, for this machine's architecture and,
# if the kernel can run its programs (binfmt_misc and qemu-user-static), the other
# one. Then every documented command runs in what was built (tests/peers/
# dev_image.sh), and where it is emulated the unit tests do, with pages of 64 KiB too.
# IMAGE_WORK keeps the parts, IMAGE_MIRROR is where Debian comes from, IMAGE_TARGETS
# and IMAGE_ARCHES say what is built.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires root git buildah debootstrap

work=${IMAGE_WORK:-$(mktemp -d -p /var/tmp)}
mirror=${IMAGE_MIRROR:-http://deb.debian.org/debian}
targets=${IMAGE_TARGETS:-runtime dev}
here=$(dpkg --print-architecture)
[ "${IMAGE_WORK:-}" ] || at_exit rm -rf "$work"
image() {
    buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"
}
at_exit image rm -a
quiet_or_fail() { # WHAT CMD...
    "${@:2}" >"$SCRATCH/log" 2>&1 || {
        tail -n 30 "$SCRATCH/log"
        fail "$1"
    }
}

# emulate ARCH - programs of ARCH run from now on
emulate() {
    local cpu rule at=/proc/sys/fs/binfmt_misc
    case $1 in amd64) cpu=x86_64 ;; arm64) cpu=aarch64 ;; *) return 1 ;; esac
    rule=/usr/lib/binfmt.d/qemu-$cpu.conf
    [ -e $at/register ] || {
        mount -t binfmt_misc binfmt_misc $at 2>/dev/null || return 1
        at_exit umount $at
    }
    [ ! -e "$at/qemu-$cpu" ] || return 0
    [ -e "$rule" ] && cat "$rule" >$at/register 2>/dev/null || return 1
    at_exit sh -c "echo -1 >$at/qemu-$cpu"
}

# -- the bases: what "debian:12-slim" names, for each architecture
base() { # ARCH
    local dir=$work/base-$1 box
    if [ ! -e "$dir.tar" ]; then
        rm -rf "$dir"
        debootstrap --arch="$1" --foreign --variant=minbase bookworm "$dir" "$mirror" \
            >"$SCRATCH/log" 2>&1 || {
            tail "$SCRATCH/log"
            skip "no Debian base can be made here"
        }
        quiet_or_fail "debootstrap, second stage" \
            chroot "$dir" /debootstrap/debootstrap --second-stage
        tar -C "$dir" -cf "$dir.tar.new" .
        mv "$dir.tar.new" "$dir.tar"
        rm -rf "$dir"
    fi
    if ! image inspect --type image "debian-$1" >/dev/null 2>&1; then
        box=$(image from --arch "$1" scratch)
        image add -q "$box" "$dir.tar" / >/dev/null
        image config --arch "$1" "$box"
        image commit -q "$box" "debian-$1" >/dev/null
        image rm "$box" >/dev/null
    fi
    image manifest add docker.io/library/debian:12-slim "debian-$1" >/dev/null
}

# -- a build, from what is committed
# built ARCH TARGET [ARGS...] - mega-dev:TARGET-ARCH
built() {
    local begin
    begin=$(now_ms)
    cd "$work/context"
    quiet_or_fail "the target $2 for $1 is not built" image bud -q --isolation chroot \
        --pull-never --layers --target "$2" --build-arg "GIT_COMMIT=$commit" \
        --build-arg BUILD_DATE=2026-01-01T00:00:00Z --build-arg "TARGETARCH=$1" \
        "${@:3}" -t "mega-dev:$2-$1" -f packaging/Dockerfile .
    cd "$SCORPIO_SRC"
    note "$1 $2: $(($(now_ms) - begin)) ms"
}
# This buildah does not know FROM --platform: the stage that compiles here for there
# is built by itself, and the others take from what it made.
build_stage() { # ARCH
    local box
    [ "$1" != "$here" ] || return 0
    built "$1" build --arch "$here"
    box=$(image from --pull-never "mega-dev:build-$1")
    from_build=(--build-context "build=$(image mount "$box")")
}

# -- what is in it
check_runtime() { # ARCH
    local box root unresolved
    box=$(image from --arch "$1" --pull-never "mega-dev:runtime-$1")
    root=$(image mount "$box")
    assert_contains "$(image inspect --type image "mega-dev:runtime-$1")" "$commit"
    assert_eq "$(image inspect --format '{{.OCIv1.Architecture}}' --type image \
        "mega-dev:runtime-$1")" "$1"
    assert_contains "$(image inspect --format '{{.OCIv1.Config.Entrypoint}}' \
        --type image "mega-dev:runtime-$1")" /app/entrypoint.sh
    assert_contains "$(cat "$root/etc/mega-image-info")" "GIT_COMMIT=$commit"
    assert_eq "$(chroot "$root" dpkg --print-architecture)" "$1"
    unresolved=$(chroot "$root" ldd /usr/local/bin/scorpio | grep 'not found' || true)
    assert_eq "$unresolved" "" "libraries that are missing"
    note "$1: $(chroot "$root" uname -m), $(du -sm "$root" | cut -f1) MiB:" \
        "$(chroot "$root" scorpio --version | head -n1)"
    # every command of the documentation, in it
    DEV_IMAGE_ROOT=$root within 900 bash "$SCORPIO_SRC/tests/peers/dev_image.sh" ||
        fail "the documented commands do not work in the image for $1"
    note "$1: the documented commands work"
    image umount "$box" >/dev/null
    image rm "$box" >/dev/null
}
check_dev() { # ARCH
    local box
    box=$(image from --arch "$1" --pull-never "mega-dev:dev-$1")
    assert_contains "$(image run --isolation chroot "$box" -- cc --version)" "Free Software"
    image rm "$box" >/dev/null
}

# -- unit tests where it is emulated: alignment, signs of characters, sizes of pages.
# Not those that start a program that is missing (the emulator does not tell), nor what
# counts how far threads come in a time. With pages larger than the machine's own the
# emulator cuts maps off at the end of a file, and LMDB's go beyond it: those with a
# store are left out there.
unit_tests() { # ARCH - in the build stage, which has the libraries too
    local box page
    box=$(image from --pull-never "mega-dev:build-$1")
    inside() {
        image run --isolation chroot --env "TARGETARCH=$arch" --workingdir /src "$box" -- "$@"
    }
    quiet_or_fail "what unit tests need is not installed" inside sh -c \
        'apt-get update && apt-get install -y --no-install-recommends python3 procps'
    quiet_or_fail "the unit tests for $1 are not built" \
        inside packaging/build.sh make -s -j"$(nproc)" unit
    for page in 4096 65536; do
        quiet_or_fail "unit tests for $1, pages of $page bytes" inside env \
            QEMU_PAGESIZE=$page CK_TIMEOUT_MULTIPLIER=20 sh -c 'bad=0
            for t in build/unit/check_*; do
                [ -x "$t" ] || continue
                case $t in */check_spawn | */check_metrics | */check_store_threads) continue ;;
                */check_arena | */check_delta | */check_evict | */check_gitindex | \
                    */check_source* | */check_store*)
                    [ "$QEMU_PAGESIZE" = 4096 ] || continue ;;
                esac
                out=$("$t" 2>&1) || { bad=1; echo "== $t"; printf "%s\n" "$out" | tail -n 9; }
                printf "%s\n" "$out" | grep "^100%: Checks"
            done
            exit $bad'
        note "$1, pages of $page bytes: $(awk '/Checks: / { n += $3 }
            END { print n, "unit tests passed" }' "$SCRATCH/log")"
    done
    image rm "$box" >/dev/null
}

arches=()
image manifest rm docker.io/library/debian:12-slim >/dev/null 2>&1 || true
image manifest create docker.io/library/debian:12-slim >/dev/null
base "$here" # where compilers run
for arch in ${IMAGE_ARCHES:-"$here" arm64}; do
    [[ " ${arches[*]} " != *" $arch "* ]] || continue
    if [ "$arch" != "$here" ] && ! emulate "$arch"; then
        note "programs for $arch do not run here: needs binfmt_misc and qemu-user-static"
        [ -z "${IMAGE_ARCHES:-}" ] || skip "no emulation of $arch"
        continue
    fi
    arches+=("$arch")
    [ "$arch" = "$here" ] || base "$arch"
done

rm -rf "$work/context"
mkdir -p "$work/context"
git -C "$SCORPIO_SRC" archive HEAD | tar -C "$work/context" -x
commit=$(git -C "$SCORPIO_SRC" rev-parse HEAD)
for arch in "${arches[@]}"; do
    from_build=()
    build_stage "$arch"
    for target in $targets; do
        built "$arch" "$target" --arch "$arch" "${from_build[@]}"
        "check_$target" "$arch"
    done
    [ "$arch" = "$here" ] || unit_tests "$arch"
done
