#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
# The dev image, built from packaging/Dockerfile without a container engine: buildah
# in a chroot, on a Debian base from debootstrap. Then every documented command runs
# in what was built (tests/peers/dev_image.sh). IMAGE_WORK keeps the parts,
# IMAGE_MIRROR is where Debian comes from, IMAGE_TARGETS which targets are built.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires root git buildah debootstrap

work=${IMAGE_WORK:-$(mktemp -d /var/tmp/image.XXXXXX)}
mirror=${IMAGE_MIRROR:-http://deb.debian.org/debian}
[ "${IMAGE_WORK:-}" ] || at_exit rm -rf "$work"
image() {
    buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"
}

# -- the base: what "debian:12-slim" names
if [ ! -e "$work/base.done" ]; then
    debootstrap --variant=minbase bookworm "$work/base" "$mirror" >"$SCRATCH/log" 2>&1 || {
        tail "$SCRATCH/log"
        echo "skip: no Debian base can be made here"
        exit 77
    }
    tar -C "$work/base" -cf "$work/base.tar" .
    base=$(image from scratch)
    image add -q "$base" "$work/base.tar" / >/dev/null
    image commit -q "$base" docker.io/library/debian:12-slim >/dev/null
    image rm "$base" >/dev/null
    touch "$work/base.done"
fi

# -- the build, from what is committed
rm -rf "$work/context"
mkdir -p "$work/context"
git -C "$SCORPIO_SRC" archive HEAD | tar -C "$work/context" -x
commit=$(git -C "$SCORPIO_SRC" rev-parse HEAD)
for target in ${IMAGE_TARGETS:-runtime dev}; do
    begin=$(now_ms)
    (
        cd "$work/context"
        image bud -q --isolation chroot --pull-never --layers --target "$target" \
            --build-arg "GIT_COMMIT=$commit" --build-arg BUILD_DATE=2026-01-01T00:00:00Z \
            -t "mega-dev:$target" -f packaging/Dockerfile .
    ) >"$SCRATCH/log" 2>&1 || {
        tail -n 30 "$SCRATCH/log"
        fail "the target $target is not built"
    }
    note "$target: $(($(now_ms) - begin)) ms"
done

# -- what is in it
box=$(image from --pull-never mega-dev:runtime)
root=$(image mount "$box")
assert_contains "$(image inspect --type image mega-dev:runtime)" "$commit"
assert_contains "$(image inspect --format '{{.OCIv1.Config.Entrypoint}}' \
    --type image mega-dev:runtime)" /app/entrypoint.sh
assert_contains "$(cat "$root/etc/mega-image-info")" "GIT_COMMIT=$commit"
note "runtime: $(du -sm "$root" | cut -f1) MiB"
unresolved=$(chroot "$root" ldd /usr/local/bin/scorpio | grep 'not found' || true)
assert_eq "$unresolved" "" "libraries that are missing"
if [[ " ${IMAGE_TARGETS:-runtime dev} " = *" dev "* ]]; then
    dev=$(image from --pull-never mega-dev:dev)
    assert_contains "$(image run --isolation chroot "$dev" -- cc --version)" "Free Software"
    image rm "$dev" >/dev/null
fi

# -- and every command of the documentation, in it
DEV_IMAGE_ROOT=$root within 300 bash "$SCORPIO_SRC/tests/peers/dev_image.sh" ||
    fail "the documented commands do not work in the image"
image umount "$box" >/dev/null
image rm "$box" >/dev/null
