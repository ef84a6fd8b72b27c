# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034,SC2119,SC2120 # used by those who source this
#
# functions.sh - what the script tests share. Use:
#
#	#!/bin/bash
#	# what this test shows
#	set -euo pipefail
#	. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
#	requires fuse git
#	start_daemon
#	...
#
# Everything a test makes lives in $SCRATCH; everything it starts with `start`
# or start_daemon ends with it, mounts included. `at_exit CMD...` adds to that.
# Never sleep to wait for something: use wait_until.

SCORPIO_SRC=${SCORPIO_SRC:-$PWD}
SCORPIO_BUILD=${SCORPIO_BUILD:-$SCORPIO_SRC/build}
case $SCORPIO_BUILD in /*) ;; *) SCORPIO_BUILD=$SCORPIO_SRC/$SCORPIO_BUILD ;; esac
SCORPIO=$SCORPIO_BUILD/scorpio
TESTLIB=$SCORPIO_SRC/tests/lib
FIXTURES=${SCORPIO_FIXTURES:-/var/tmp/scorpio-fixtures}
SLOW=${SCORPIO_SLOW:-1} # sanitizers: factor for deadlines
export SCORPIO_SRC SCORPIO_BUILD GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=Tester GIT_AUTHOR_EMAIL=tester@example.org
export GIT_COMMITTER_NAME=Tester GIT_COMMITTER_EMAIL=tester@example.org

# -- outcome --------------------------------------------------------------------

note() { printf '%s\n' "$*"; }

skip() { # REASON
    printf 'skip: %s\n' "$*"
    exit 77
}

fail() { # TEXT
    printf 'FAILED: %s\n' "$*" >&2
    FAILURE=$*
    local i
    for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
        printf '    at %s:%s (%s)\n' "${BASH_SOURCE[i]}" \
            "${BASH_LINENO[i - 1]}" "${FUNCNAME[i]}" >&2
    done
    exit 1
}

# A command that fails unexpectedly under `set -e` says where it was.
trap 'printf "failed (%s) at %s:%s: %s\n" $? "${BASH_SOURCE[0]}" $LINENO \
    "$BASH_COMMAND" >&2' ERR
set -E

# requires PROG|root|fuse|netns|program ... - skip when one is missing
requires() {
    local what
    for what; do
        case $what in
        root) [ "$(id -u)" -eq 0 ] || skip "needs root" ;;
        fuse)
            [ -e /dev/fuse ] || skip "no /dev/fuse on this machine"
            { : <>/dev/fuse; } 2>/dev/null || skip "/dev/fuse cannot be opened"
            [ "$(id -u)" -eq 0 ] || command -v fusermount3 >/dev/null ||
                skip "needs root or fusermount3" ;;
        netns)
            [ "$(id -u)" -eq 0 ] || skip "needs root"
            unshare -n true 2>/dev/null || skip "no network namespaces" ;;
        scorpio) [ -x "$SCORPIO" ] || skip "$SCORPIO is not built" ;;
        lighttpd)
            PATH=$PATH:/usr/sbin:/sbin command -v lighttpd >/dev/null ||
                skip "needs lighttpd" ;;
        *) command -v "$what" >/dev/null || skip "needs $what" ;;
        esac
    done
}

# -- life time --------------------------------------------------------------------

SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/t.XXXXXX")
declare -a AT_EXIT=() STARTED=()
export SCORPIO_TEST_SCRATCH=$SCRATCH

at_exit() { # CMD... runs at the end, last one first
    AT_EXIT+=("$(printf '%q ' "$@")")
}

# start NAME CMD... - in the background; output in $SCRATCH/NAME.log, pid in $PID
start() {
    local name=$1
    shift
    "$@" >"$SCRATCH/$name.log" 2>&1 </dev/null &
    PID=$!
    STARTED+=("$PID")
}

# ours PID - is it one that this test started? A busy machine uses the number of
# a process that ended again within minutes.
ours() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) ? }
    [ "${stat%% *}" = $$ ] ||
        grep -qazsF "SCORPIO_TEST_SCRATCH=$SCRATCH" "/proc/$1/environ"
}

# signal_ours SIGNAL PID...
signal_ours() {
    local pid signal=$1
    shift
    for pid; do
        ours "$pid" && kill "-$signal" "$pid" 2>/dev/null
    done
    true
}

# stop PID [SIGNAL] - end what was started and wait for it; returns its code
stop() {
    local code=0
    signal_ours "${2:-TERM}" "$1"
    wait "$1" 2>/dev/null || code=$?
    return $code
}

# ended_well NAME PID - what `start NAME` began ends by itself, with 0; prints its
# last words
ended_well() {
    local code=0
    wait_until 60 gone "$2"
    wait "$2" || code=$?
    [ $code -eq 0 ] || {
        cat "$SCRATCH/$1.log"
        fail "$1 ended with $code"
    }
    note "$1: $(tail -n 1 "$SCRATCH/$1.log")"
}

# mounts at or below a directory, innermost first
mounts_below() {
    awk -v d="$1/" 'index($5 "/", d) == 1 { print $5 }' /proc/self/mountinfo |
        tac | while read -r m; do printf '%b\n' "$m"; done
}

is_mounted() { # DIR
    [ "$(mounts_below "$1" | head -n1)" ]
}

unmount_lazily() { # DIR
    umount -l "$1" 2>/dev/null || fusermount3 -uz "$1" 2>/dev/null || true
}

end_daemons() {
    local pid i
    signal_ours TERM "${STARTED[@]}"
    for ((i = 0; i < 100 * SLOW; i++)); do
        local alive=
        for pid in "${STARTED[@]}"; do
            ours "$pid" && alive=1
        done
        [ "$alive" ] || break
        sleep 0.05
    done
    signal_ours KILL "${STARTED[@]}"
    for pid in "${STARTED[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
}

finish() {
    local code=$? i m
    trap - ERR EXIT
    trap '' INT TERM HUP # a second one shall not stop the tidying
    set +e
    if [ $code -ne 0 ] && [ $code -ne 77 ]; then
        for m in "$SCRATCH"/*.log; do
            [ -s "$m" ] || continue
            echo "--- $(basename "$m") (end)"
            tail -n 12 "$m" | cut -c1-400
        done
        [ "${DAEMON_PID:-}" ] && ! kill -0 "$DAEMON_PID" 2>/dev/null &&
            echo "the daemon (process $DAEMON_PID) had ended before"
        [ "${FAILURE:-}" ] && echo "FAILED: $FAILURE"
    fi
    for ((i = ${#AT_EXIT[@]} - 1; i >= 0; i--)); do
        eval "${AT_EXIT[i]}"
    done
    end_daemons
    # A daemon that ends takes its mounts along. Where it was killed on
    # purpose they are stale, and that is not the test's fault.
    mounts_below "$SCRATCH" | while read -r m; do
        unmount_lazily "$m"
    done
    chmod -R u+rwX "$SCRATCH" 2>/dev/null
    rm -rf --one-file-system "$SCRATCH"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# -- waiting ------------------------------------------------------------------------

# wait_until SECONDS CMD... - until CMD succeeds; fails the test if it never does
wait_until() {
    local limit=$1
    shift
    poll_until "$limit" "$@" || fail "still not true after $limit s: $*"
}

# the same, returning 1 instead
poll_until() {
    local end=$((${EPOCHREALTIME/./} + $1 * SLOW * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
        sleep 0.02
    done
}

gone() { # PID
    ! kill -0 "$1" 2>/dev/null
}

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# within SECONDS CMD... - CMD must end by itself in time (its code is returned)
within() {
    local limit=$1 code=0
    shift
    if [ "$1" = scorpio_cli ]; then # timeout runs programs only
        shift
        set -- "$SCORPIO" -c "$DAEMON_CONFIG" \
            --http-addr "127.0.0.1:$DAEMON_PORT" "$@"
    fi
    timeout -k 5 $((limit * SLOW)) "$@" || code=$?
    case $code in
    124 | 137) fail "no end after $limit s: $*" ;;
    esac
    return $code
}

# -- assertions ---------------------------------------------------------------------

assert_eq() { # GOT WANTED [WHAT]
    [ "$1" = "$2" ] || fail "${3:-value}: got '$1', wanted '$2'"
}

assert_le() { # GOT LIMIT [WHAT] (numbers, may have decimals)
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 <= b + 0) }' ||
        fail "${3:-value}: $1 is more than $2"
}

assert_contains() { # TEXT PART [WHAT]
    case $1 in
    *"$2"*) ;;
    *) fail "${3:-text}: no '$2' in: $1" ;;
    esac
}

# assert_fails CMD... - must fail (not by a signal); its output is in $OUTPUT
assert_fails() {
    local code=0
    OUTPUT=$("$@" 2>&1) || code=$?
    [ $code -ne 0 ] || fail "this should have failed: $*"
    [ $code -lt 126 ] || fail "this crashed or hung ($code): $*: $OUTPUT"
}

# what a tree looks like: path, kind, permissions, size, link target
describe_tree() { # DIR
    (cd "$1" && find . -mindepth 1 -name .git -prune -o -mindepth 1 \
        \( -type d -printf '%P\0d %m\0' -o -type l -printf '%P\0l %s %l\0' \
        -o -printf '%P\0%y %m %s\0' \)) | paste -zd '\t' - - | LC_ALL=C sort -z |
        tr '\0' '\n'
}

# assert_same_tree GOT WANTED - names, kinds, modes, sizes, targets, contents
assert_same_tree() {
    describe_tree "$1" >"$SCRATCH/.tree1"
    describe_tree "$2" >"$SCRATCH/.tree2"
    diff -u "$SCRATCH/.tree2" "$SCRATCH/.tree1" >"$SCRATCH/.treediff" || {
        head -n 30 "$SCRATCH/.treediff"
        fail "the trees $1 and $2 differ in names, modes or sizes"
    }
    diff -r --no-dereference --exclude=.git "$2" "$1" >"$SCRATCH/.treediff" 2>&1 || {
        head -n 30 "$SCRATCH/.treediff"
        fail "the trees $1 and $2 differ in content"
    }
    rm -f "$SCRATCH"/.tree*
}

# every entry below DIR has this mtime
assert_mtimes() { # DIR EPOCH
    local other
    other=$(find "$1" -mindepth 1 -printf '%T@ %p\0' | tr '\n\0' '?\n' |
        awk -v t="$2" '$1 + 0 != t + 0' | head -n3)
    [ -z "$other" ] || fail "mtimes other than $2: $other"
}

# -- scorpio --------------------------------------------------------------------------

free_port() {
    python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# write_config [DIR] - a configuration of its own: store, socket, port below DIR
write_config() {
    local dir=${1:-$SCRATCH}
    mkdir -p "$dir"
    DAEMON_CONFIG=$dir/scorpio.toml
    DAEMON_PORT=$(free_port)
    DAEMON_URL=http://127.0.0.1:$DAEMON_PORT
    DAEMON_STORE=$dir/store
    cat >"$DAEMON_CONFIG" <<END
store_path = "$DAEMON_STORE"
antares_upper_root = "$dir/antares/upper"
antares_cl_root = "$dir/antares/cl"
antares_mount_root = "$dir/antares/mnt"
antares_state_file = "$dir/antares/state.toml"
END
}

# scorpio_cli ARGS... - the program bound to this test's configuration
scorpio_cli() {
    "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr "127.0.0.1:$DAEMON_PORT" "$@"
}

daemon_answers() {
    curl -fsS --noproxy '*' -m 5 -o /dev/null "$DAEMON_URL/health"
}

# start_daemon [ARGS...] - `scorpio serve` with write_config's configuration
# (made if there is none); returns when it answers. Sets DAEMON_PID, whom to
# signal: the keeper's.
start_daemon() {
    requires scorpio curl
    [ "${DAEMON_CONFIG:-}" ] || write_config
    start "daemon-$DAEMON_PORT" "$SCORPIO" -c "$DAEMON_CONFIG" \
        --http-addr "127.0.0.1:$DAEMON_PORT" serve "$@"
    DAEMON_PID=$PID
    poll_until 20 daemon_answers || {
        cat "$SCRATCH/daemon-$DAEMON_PORT.log"
        fail "the daemon does not answer at $DAEMON_URL"
    }
}

# the process that does the work
daemon_process() {
    local pid
    pid=$(pgrep -x scorpio -P "$DAEMON_PID" | head -n1)
    echo "${pid:-$DAEMON_PID}"
}

stop_daemon() { # [SIGNAL]
    stop "$DAEMON_PID" "${1:-TERM}" || true
}

# mount_source SOURCE DIR [ARGS...] - DIR is made; unmounted at the end. A
# plain view, unless --rw or --workspace is among ARGS.
mount_source() {
    local source=$1 dir=$2 view=--ro
    shift 2
    case " $* " in *" --rw "* | *" --workspace"*) view= ;; esac
    mkdir -p "$dir"
    within 60 scorpio_cli mount "$source" "$dir" ${view:+"$view"} "$@" ||
        fail "mount $source failed"
    is_mounted "$dir" || fail "$dir is not mounted after scorpio mount"
}

metric() { # NAME[{labels}] - value, or the sum over labels; 0 if absent
    curl -fsS --noproxy '*' -m 10 "$DAEMON_URL/metrics" |
        awk -v n="$1" '$1 == n || index($1, n "{") == 1 { s += $NF }
            END { printf "%d\n", s }'
}

# -- git ---------------------------------------------------------------------------------

# git_repo DIR - an empty repository with a fixed clock and no hooks
git_repo() {
    git init -q -b main "$1"
    git -C "$1" config core.autocrlf false
    git -C "$1" config gc.auto 0
}

COMMIT_TIME=${COMMIT_TIME:-1700000000}
# git_commit DIR MESSAGE [EPOCH] - everything below DIR
git_commit() {
    local when="${3:-$COMMIT_TIME} +0000"
    git -C "$1" add -A
    GIT_AUTHOR_DATE=$when GIT_COMMITTER_DATE=$when \
        git -C "$1" commit -q --allow-empty -m "$2"
}

# start_git_server DIR - git http-backend behind lighttpd on loopback, serving
# the repositories below DIR. Sets GIT_URL, GIT_SERVER_PID; its access log is
# $SCRATCH/lighttpd.access.
start_git_server() {
    requires lighttpd git
    # shellcheck source=/dev/null
    . "$TESTLIB/git_server.sh"
    git_server_start "$@"
}
