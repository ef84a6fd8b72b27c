#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# entrypoint.sh - what the dev image does: scorpio, orion, buck2, bash, version,
# help, or any program on PATH.
set -eu

CONFIG=/app/config/scorpio.toml
TEMPLATE=/app/config/scorpio.toml.template

defaults() {
    : "${SCORPIO_BASE_URL:=http://host.docker.internal:8000}"
    : "${SCORPIO_LFS_URL:=$SCORPIO_BASE_URL}"
    : "${SCORPIO_STORE_PATH:=/data/scorpio/store}"
    : "${SCORPIO_WORKSPACE:=/workspace/mount}"
    : "${SCORPIO_GIT_AUTHOR:=MEGA}" "${SCORPIO_GIT_EMAIL:=admin@mega.org}"
    : "${SCORPIO_DICFUSE_READABLE:=true}" "${SCORPIO_LOAD_DIR_DEPTH:=3}"
    : "${SCORPIO_FETCH_FILE_THREAD:=10}"
    : "${SCORPIO_DICFUSE_IMPORT_CONCURRENCY:=4}"
    : "${SCORPIO_DICFUSE_DIR_SYNC_TTL_SECS:=5}"
    : "${SCORPIO_DICFUSE_STAT_MODE:=accurate}"
    : "${SCORPIO_DICFUSE_OPEN_BUFF_MAX_BYTES:=268435456}"
    : "${SCORPIO_DICFUSE_OPEN_BUFF_MAX_FILES:=4096}"
    : "${ANTARES_LOAD_DIR_DEPTH:=0}" "${ANTARES_DICFUSE_STAT_MODE:=fast}"
    : "${ANTARES_DICFUSE_OPEN_BUFF_MAX_BYTES:=67108864}"
    : "${ANTARES_DICFUSE_OPEN_BUFF_MAX_FILES:=1024}"
    : "${ANTARES_DICFUSE_DIR_SYNC_TTL_SECS:=5}"
    : "${ANTARES_UPPER_ROOT:=/data/scorpio/antares/upper}"
    : "${ANTARES_CL_ROOT:=/data/scorpio/antares/cl}"
    : "${ANTARES_MOUNT_ROOT:=/data/scorpio/antares/mnt}"
    : "${ANTARES_STATE_FILE:=/data/scorpio/antares/state.toml}"
}

# shellcheck disable=SC2016 # names for envsubst
VARIABLES='${SCORPIO_BASE_URL} ${SCORPIO_LFS_URL} ${SCORPIO_STORE_PATH}
    ${SCORPIO_WORKSPACE} ${SCORPIO_GIT_AUTHOR} ${SCORPIO_GIT_EMAIL}
    ${SCORPIO_DICFUSE_READABLE} ${SCORPIO_LOAD_DIR_DEPTH}
    ${SCORPIO_FETCH_FILE_THREAD} ${SCORPIO_DICFUSE_IMPORT_CONCURRENCY}
    ${SCORPIO_DICFUSE_DIR_SYNC_TTL_SECS} ${SCORPIO_DICFUSE_STAT_MODE}
    ${SCORPIO_DICFUSE_OPEN_BUFF_MAX_BYTES} ${SCORPIO_DICFUSE_OPEN_BUFF_MAX_FILES}
    ${ANTARES_LOAD_DIR_DEPTH} ${ANTARES_DICFUSE_STAT_MODE}
    ${ANTARES_DICFUSE_OPEN_BUFF_MAX_BYTES} ${ANTARES_DICFUSE_OPEN_BUFF_MAX_FILES}
    ${ANTARES_DICFUSE_DIR_SYNC_TTL_SECS} ${ANTARES_UPPER_ROOT} ${ANTARES_CL_ROOT}
    ${ANTARES_MOUNT_ROOT} ${ANTARES_STATE_FILE}'

# Defaults are exported to envsubst only: the daemon would let them win over a file
# of the user's.
render() {
    if [ -e "$CONFIG" ] && [ ! -w "$CONFIG" ]; then
        return # a file of the user's, mounted read-only
    fi
    (
        set -a
        defaults
        envsubst "$VARIABLES" <"$TEMPLATE" >"$CONFIG.new"
    )
    mv -f "$CONFIG.new" "$CONFIG" 2>/dev/null || {
        cat "$CONFIG.new" >"$CONFIG"
        rm -f "$CONFIG.new"
    }
}

versions() {
    cat /etc/mega-image-info 2>/dev/null || true
    scorpio --version
    if command -v buck2 >/dev/null; then
        buck2 --version
    else
        echo "buck2: not in this image"
    fi
    command -v git-lfs >/dev/null && git-lfs version
    git --version
}

usage() {
    cat <<'END'
usage: docker run [options] IMAGE COMMAND [args]

  scorpio [args]      the filesystem daemon on port 2725 (needs --privileged, or
                      --device /dev/fuse --cap-add SYS_ADMIN
                      --security-opt apparmor:unconfined)
  orion               the build worker (not in this image)
  buck2 [args]        Buck2
  bash | sh           a shell
  version             what is in the image
  help                this text
  anything else       is run if it is on PATH

Set SCORPIO_BASE_URL to the Mono server, SCORPIO_LFS_URL if LFS is elsewhere;
.env.example lists all variables. A configuration of your own: mount it over
/app/config/scorpio.toml read-only, or "scorpio -c FILE".
END
}

need_fuse() {
    if [ ! -e /dev/fuse ]; then
        cat >&2 <<'END'
error: there is no /dev/fuse in this container, so nothing can be mounted
  run it with --privileged, or with
    --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor:unconfined
END
        exit 1
    fi
}

has_http_addr() {
    local word
    for word; do
        case $word in --http-addr | --http-addr=*) return 0 ;; esac
    done
    return 1
}

# The port is open to the container's network, as upstream's is. Say so.
serve() {
    need_fuse
    versions
    (
        defaults
        mkdir -p "$SCORPIO_STORE_PATH" "$SCORPIO_WORKSPACE" \
            "$ANTARES_UPPER_ROOT" "$ANTARES_CL_ROOT" "$ANTARES_MOUNT_ROOT"
    )
    render
    if ! has_http_addr "$@"; then
        set -- --http-addr "${SCORPIO_HTTP_ADDR:-0.0.0.0:2725}" "$@"
    fi
    if [ -z "${SCORPIO_TOKEN:-}${SCORPIO_SERVER_TOKEN:-}" ]; then
        echo "warning: the API is open to everyone who reaches the port;" \
            "set SCORPIO_SERVER_TOKEN, or publish it as 127.0.0.1:2725:2725" >&2
        export SCORPIO_SERVER_ALLOW_INSECURE=true
    fi
    exec scorpio -c "$CONFIG" "$@"
}

buck() {
    if ! command -v buck2 >/dev/null; then
        cat >&2 <<'END'
error: buck2 is not in this image
  put it on PATH (-v /path/to/buck2:/usr/local/bin/buck2:ro), or build the image
  with --build-arg BUCK2_URL=... ; releases: github.com/facebook/buck2/releases
END
        exit 1
    fi
    exec buck2 "$@"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
scorpio) serve "$@" ;;
orion | orion-worker) exec orion "$@" ;;
buck2) buck "$@" ;;
bash | sh) exec "$command" "$@" ;;
version | --version | -v) versions ;;
help | --help | -h) usage ;;
*)
    if command -v "$command" >/dev/null; then
        exec "$command" "$@"
    fi
    echo "error: there is no command \"$command\"" >&2
    usage >&2
    exit 1
    ;;
esac
