#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# The dev image's commands, through its entrypoint, in a root directory and a
# mount namespace of their own instead of a container engine's
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"
requires root fuse git python3 curl jq envsubst unshare nsenter

mono_repo "$SCRATCH/repo"
mono_import "$SCRATCH/foo"
printf '//:all\n' >"$SCRATCH/repo/project/BUCK"
git_commit "$SCRATCH/repo" buck
start_mono

# -- what the Dockerfile copies, over the system's own directories; or an image that
# was built (tests/proof/image.sh)
ROOT=${DEV_IMAGE_ROOT:-$SCRATCH/root}
BIN=$SCRATCH/bin
mkdir -p "$BIN"
if [ "${DEV_IMAGE_ROOT:-}" ]; then
    export SHARED="dev"
    cp -a "$ROOT/usr/local/bin/." "$BIN"
else
    export SHARED="bin sbin lib lib64 usr etc dev"
    mkdir -p "$ROOT"/{app/config,workspace,data,usr,etc,dev,proc,tmp,run}
    cp "$SCORPIO" "$SCORPIO_SRC/packaging/orion" "$BIN"
    cp "$SCORPIO_SRC/packaging/entrypoint.sh" "$ROOT/app"
    cp "$SCORPIO_SRC/packaging/scorpio.toml.template" "$ROOT/app/config"
    for d in bin sbin lib lib64; do
        if [ -L "/$d" ]; then cp -P "/$d" "$ROOT"; else mkdir "$ROOT/$d"; fi
    done
fi

# docker_run [NAME=VALUE...] -- ARGS... : in a subshell, which it becomes
docker_run() {
    local -a env=()
    while [ "$1" != -- ]; do env+=("$1") && shift; done
    shift
    exec unshare -m --propagation private bash -ec '
        root=$1 bin=$2
        shift 2
        for d in $SHARED; do
            [ -L "$root/$d" ] || mount --rbind "/$d" "$root/$d"
        done
        mount -t proc proc "$root/proc"
        mount --bind "$bin" "$root/usr/local/bin"
        [ -z "${CUSTOM:-}" ] || {
            touch "$root/app/config/scorpio.toml"
            mount --bind "$CUSTOM" "$root/app/config/scorpio.toml"
            mount -o remount,bind,ro "$root/app/config/scorpio.toml"
        }
        [ -z "${NO_FUSE:-}" ] || mount -t tmpfs none "$root/dev"
        unset CUSTOM NO_FUSE SHARED
        cd "$root/workspace"
        exec chroot "$root" env -i HOME=/root \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            "$@"' sh "$ROOT" "$BIN" "${env[@]}" \
        /bin/bash -c 'cd /workspace && exec /app/entrypoint.sh "$@"' sh "$@"
}
docker_exec() { nsenter -t "$PID_SCORPIO" -m -r -w "$@"; }

# -- basic validation
out=$(docker_run -- version)
assert_contains "$out" "$("$SCORPIO" --version | head -n1)"
assert_contains "$(docker_run -- bash -lc 'command -v scorpio && command -v orion')" \
    /usr/local/bin/orion
assert_contains "$(docker_run --)" "usage: docker run"
assert_contains "$(docker_run -- --help)" "usage: docker run"
assert_eq "$(docker_run -- echo a 'b c')" "a b c" "a program on PATH"
assert_fails docker_run -- nosuch
assert_contains "$OUTPUT" 'there is no command "nosuch"'
for word in orion orion-worker; do
    assert_fails docker_run SERVER_WS=ws://there:8004/ws -- "$word"
    assert_contains "$OUTPUT" "no Orion worker"
done
if ! command -v buck2 >/dev/null; then
    assert_fails docker_run -- buck2 --version
    assert_contains "$OUTPUT" "put it on PATH"
fi
export NO_FUSE=1
assert_fails docker_run -- scorpio
assert_contains "$OUTPUT" "--device /dev/fuse --cap-add SYS_ADMIN"
unset NO_FUSE
# what is run as Buck2 here: enough to see where and how it is called
printf '#!/bin/sh\necho "buck2 $* in $PWD: $(cat BUCK 2>/dev/null)"\n' >"$BIN/buck2"
chmod 755 "$BIN/buck2"
assert_contains "$(docker_run -- buck2 --version)" "buck2 --version"

# -- docker run -d --name scorpio ... mega-dev:latest scorpio
port=$(free_port)
run_scorpio() { # [NAME=VALUE...] -- ARGS...
    start scorpio docker_run "$@"
    PID_SCORPIO=$PID
    wait_until 30 curl -fsS -o /dev/null "http://127.0.0.1:$port/antares/health"
}
run_scorpio "SCORPIO_BASE_URL=$MONO_URL" "SCORPIO_LFS_URL=$MONO_URL" \
    "SCORPIO_HTTP_ADDR=0.0.0.0:$port" -- scorpio
grep -q 'the API is open to everyone' "$SCRATCH/scorpio.log" || fail "no warning"
assert_contains "$(curl -s "http://localhost:$port/antares/health")" '"status":"healthy"'
conf=$(cat "$ROOT/app/config/scorpio.toml")
assert_contains "$conf" "base_url = \"$MONO_URL\""
assert_contains "$conf" 'antares_load_dir_depth = "0"'
grep -q '[$]{' "$ROOT/app/config/scorpio.toml" && fail "a variable is left: $conf"

REPO_PATH=project
MOUNTPOINT=$(curl -s -X POST "http://localhost:$port/antares/mounts" \
    -H "Content-Type: application/json" \
    -d "{\"path\":\"${REPO_PATH}\",\"job_id\":\"manual-test\"}" | jq -r '.mountpoint')
assert_contains "$MOUNTPOINT" /data/scorpio/antares/mnt/
out=$(docker_exec bash -lc "cd '${MOUNTPOINT}' && buck2 --version && buck2 build //...")
assert_contains "$out" "buck2 build //... in $MOUNTPOINT: //:all"
# pretty, by jq
curl -s -X POST "http://localhost:$port/antares/mounts" \
    -H "Content-Type: application/json" \
    -d '{"path":"project/deep","job_id":"smoke"}' | jq -e .mount_id >/dev/null
# the whole monorepo, writable: a build's output goes there
wait_until 20 docker_exec test -d /workspace/mount/project
out=$(docker_exec bash -lc "cd /workspace/mount && mkdir buck-out && buck2 build //...")
assert_contains "$out" "in /workspace/mount"
[ -d "$ROOT/data/scorpio/store" ] || fail "the store is elsewhere"

# docker stop: SIGTERM to the daemon itself; nothing stays mounted
stop "$PID_SCORPIO"
mounts_below "$ROOT" | grep . && fail "mounts stay"

# -- a configuration of one's own, read-only, named again on the command line
cat >"$SCRATCH/own.toml" <<END
base_url = "$MONO_URL"
store_path = "/data/own"
workspace = "/workspace/own"
antares_mount_root = "/data/own-mnt"
END
export CUSTOM=$SCRATCH/own.toml
before=$(cat "$CUSTOM")
run_scorpio "SCORPIO_HTTP_ADDR=127.0.0.1:$port" -- scorpio -c /app/config/scorpio.toml
wait_until 20 docker_exec test -d /workspace/own/project
assert_eq "$(cat "$CUSTOM")" "$before" "the file of the user's"
MOUNTPOINT=$(curl -s -X POST "http://localhost:$port/antares/mounts" \
    -H "Content-Type: application/json" -d '{"path":"project"}' | jq -r '.mountpoint')
assert_contains "$MOUNTPOINT" /data/own-mnt/
stop "$PID_SCORPIO"
unset CUSTOM
rm -f "$ROOT/app/config/scorpio.toml"

# -- a token closes the port; the address given by hand wins
run_scorpio "SCORPIO_BASE_URL=$MONO_URL" SCORPIO_SERVER_TOKEN=s3cret -- \
    scorpio --http-addr "0.0.0.0:$port"
grep -q 'open to everyone' "$SCRATCH/scorpio.log" && fail "warns without a reason"
assert_eq "$(curl -s -o /dev/null -w '%{http_code}' -X POST -H "Content-Type: application/json" \
    -d '{"path":"project"}' "http://127.0.0.1:$port/antares/mounts")" 401
stop "$PID_SCORPIO"
mono_blameless
