#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build.sh deps       install what is needed to build for $TARGETARCH (as Debian calls
#                     it; default: this machine's)
# build.sh make ...   run make for it
#
# For the dev image. Another architecture is cross-compiled: a compiler that runs
# here, and the libraries of there.
set -eu

here=$(dpkg --print-architecture)
there=${TARGETARCH:-$here}
case $there in
amd64) triplet=x86_64-linux-gnu compiler=x86-64-linux-gnu ;;
arm64) triplet=aarch64-linux-gnu compiler=aarch64-linux-gnu ;;
*) echo "build.sh: there is no image for $there, only for amd64 and arm64" >&2 && exit 2 ;;
esac

deps() {
    wanted=
    for name in $("$(dirname "$0")/../tests/deps.sh" list); do
        if [ "$there" != "$here" ]; then
            case $name in
            *-dev | check) name=$name:$there ;;
            gcc | g++) name=$name-$compiler ;;
            esac
        fi
        wanted="$wanted $name"
    done
    [ "$there" = "$here" ] || dpkg --add-architecture "$there"
    apt-get update
    # shellcheck disable=SC2086 # a list of words
    apt-get install -y --no-install-recommends $wanted
}

case ${1:-} in
deps) deps ;;
make)
    shift
    [ "$there" = "$here" ] || {
        export PKG_CONFIG_LIBDIR="/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig"
        set -- CC="$triplet-gcc" CXX="$triplet-g++" AR="$triplet-ar" "$@"
    }
    exec make "$@"
    ;;
*) sed -n '4,9s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
