#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# The dev image's commands, through its entrypoint, in a root directory and a
# mount namespace of their own instead of a container engine's. The log shows each
# documented command and what came of it.
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
        [ -z "${VOLUME:-}" ] || mount --bind "$VOLUME" "$root/workspace"
        caps=(${CAPS:+setpriv --bounding-set "$CAPS"})
        unset CUSTOM NO_FUSE VOLUME CAPS SHARED
        cd "$root/workspace"
        exec "${caps[@]}" chroot "$root" env -i HOME=/root \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            "$@"' sh "$ROOT" "$BIN" "${env[@]}" \
        /bin/bash -c 'cd /workspace && exec /app/entrypoint.sh "$@"' sh "$@"
}
docker_exec() { nsenter -t "$PID_SCORPIO" -m -r -w "$@"; }
# docs COMMAND OUTPUT - for the log
docs() { note "\$ $1" && note "${2:-}" | sed '/^$/d; s/^/    /' | head -n 12; }

# -- basic validation
out=$(docker_run -- version)
docs "docker run --rm mega-dev:latest version" "$out"
assert_contains "$out" "$("$SCORPIO" --version | head -n1)"
out=$(docker_run -- bash -lc 'command -v scorpio && command -v orion')
docs 'docker run --rm mega-dev:latest bash -lc "command -v scorpio && command -v orion"' \
    "$out"
assert_contains "$out" /usr/local/bin/orion
assert_contains "$(docker_run --)" "usage: docker run"
assert_contains "$(docker_run -- --help)" "usage: docker run"
assert_eq "$(docker_run -- echo a 'b c')" "a b c" "a program on PATH"
assert_fails docker_run -- nosuch
assert_contains "$OUTPUT" 'there is no command "nosuch"'
for word in orion orion-worker; do
    assert_fails docker_run SERVER_WS=ws://there:8004/ws -- "$word"
    assert_contains "$OUTPUT" "no Orion worker"
    docs "docker run -d -e SERVER_WS=ws://your-orion-server:8004/ws ... $word" "$OUTPUT"
done
if ! command -v buck2 >/dev/null; then
    assert_fails docker_run -- buck2 --version
    assert_contains "$OUTPUT" "put it on PATH"
    docs "docker run --rm mega-dev:latest buck2 --version (without one)" "$OUTPUT"
fi
export NO_FUSE=1
assert_fails docker_run -- scorpio
assert_contains "$OUTPUT" "--device /dev/fuse --cap-add SYS_ADMIN"
docs "docker run mega-dev:latest scorpio (without /dev/fuse)" "$OUTPUT"
unset NO_FUSE
# what is run as Buck2 here: enough to see where and how it is called
printf '#!/bin/sh\necho "buck2 $* in $PWD: $(cat BUCK 2>/dev/null)"\n' >"$BIN/buck2"
chmod 755 "$BIN/buck2"
out=$(docker_run -- buck2 --version)
docs "docker run --rm mega-dev:latest buck2 --version (with one on PATH)" "$out"
assert_contains "$out" "buck2 --version"
mkdir "$SCRATCH/local"
echo '//:local' >"$SCRATCH/local/BUCK"
export VOLUME=$SCRATCH/local
out=$(docker_run -- bash <<<'buck2 --version')
docs 'docker run -it --rm -v $(pwd):/workspace -w /workspace mega-dev:latest bash' "$out"
assert_contains "$out" "in /workspace: //:local"
unset VOLUME

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
out=$(curl -s "http://localhost:$port/antares/health")
docs "docker run -d --name scorpio --privileged -p 2725:2725 ... mega-dev:latest scorpio"
docs "curl -s http://localhost:2725/antares/health" "$out"
assert_contains "$out" '"status":"healthy"'
conf=$(cat "$ROOT/app/config/scorpio.toml")
assert_contains "$conf" "base_url = \"$MONO_URL\""
assert_contains "$conf" 'antares_load_dir_depth = "0"'
grep -q '[$]{' "$ROOT/app/config/scorpio.toml" && fail "a variable is left: $conf"

REPO_PATH=project
MOUNTPOINT=$(curl -s -X POST "http://localhost:$port/antares/mounts" \
    -H "Content-Type: application/json" \
    -d "{\"path\":\"${REPO_PATH}\",\"job_id\":\"manual-test\"}" | jq -r '.mountpoint')
docs 'MOUNTPOINT=$(curl -s -X POST http://localhost:2725/antares/mounts ... | jq -r .mountpoint)' \
    "$MOUNTPOINT"
assert_contains "$MOUNTPOINT" /data/scorpio/antares/mnt/
out=$(docker_exec bash -lc "cd '${MOUNTPOINT}' && buck2 --version && buck2 build //...")
docs "docker exec scorpio bash -lc \"cd '\${MOUNTPOINT}' && buck2 --version && buck2 build \
//...\"" "$out"
assert_contains "$out" "buck2 build //... in $MOUNTPOINT: //:all"
# pretty, by jq
out=$(curl -s -X POST "http://localhost:$port/antares/mounts" \
    -H "Content-Type: application/json" -d '{"path":"project/deep","job_id":"smoke"}' | jq)
docs "curl -s -X POST http://localhost:2725/antares/mounts ... -d '{\"path\":...}' | jq" "$out"
jq -e .mount_id <<<"$out" >/dev/null
# the whole monorepo, writable: a build's output goes there
wait_until 20 docker_exec test -d /workspace/mount/project
out=$(docker_exec bash -lc "cd /workspace/mount && mkdir buck-out && buck2 build //...")
docs 'docker exec scorpio bash -lc "cd /workspace/mount && buck2 build //..."' "$out"
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
docs "docker run -v /path/to/scorpio.toml:/app/config/scorpio.toml:ro ... \
mega-dev:latest scorpio -c /app/config/scorpio.toml; a mount" "$MOUNTPOINT"
assert_contains "$MOUNTPOINT" /data/own-mnt/
stop "$PID_SCORPIO"
unset CUSTOM
rm -f "$ROOT/app/config/scorpio.toml"

# -- docker run --device /dev/fuse --cap-add SYS_ADMIN: Docker's capabilities and one
CAPS=-all
for cap in chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service \
    net_raw sys_chroot mknod audit_write setfcap sys_admin; do
    CAPS+=,+$cap
done
export CAPS
run_scorpio "SCORPIO_BASE_URL=$MONO_URL" "SCORPIO_HTTP_ADDR=127.0.0.1:$port" -- scorpio
unset CAPS
MOUNTPOINT=$(curl -s -X POST "http://localhost:$port/antares/mounts" \
    -H "Content-Type: application/json" -d '{"path":"project"}' | jq -r '.mountpoint')
out=$(docker_exec cat "$MOUNTPOINT/BUCK")
docs "docker run --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor:unconfined ...; \
a mount" "$MOUNTPOINT: $out"
assert_eq "$out" //:all
stop "$PID_SCORPIO"

# -- a token closes the port; the address given by hand wins
run_scorpio "SCORPIO_BASE_URL=$MONO_URL" SCORPIO_SERVER_TOKEN=s3cret -- \
    scorpio --http-addr "0.0.0.0:$port"
grep -q 'open to everyone' "$SCRATCH/scorpio.log" && fail "warns without a reason"
assert_eq "$(curl -s -o /dev/null -w '%{http_code}' -X POST -H "Content-Type: application/json" \
    -d '{"path":"project"}' "http://127.0.0.1:$port/antares/mounts")" 401
stop "$PID_SCORPIO"
mono_blameless
