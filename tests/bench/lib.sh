# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh - for the benches: rounds, medians, rows, and the things compared.

# A shell that is told to end (TERM, INT, HUP) waits for its foreground command
# first. So the bench is a child with a process group of its own, all of which is
# told; then it takes down what it started and mounted (`finish`).
if [ -z "${BENCH_CHILD:-}" ]; then
    BENCH_CHILD=1 setsid bash "$0" "$@" &
    child=$!
    tell() { kill -TERM -- "-$child" 2>/dev/null || kill -TERM "$child"; }
    trap tell TERM INT HUP
    while :; do
        code=0
        wait "$child" || code=$?
        kill -0 "$child" 2>/dev/null || exit $code
    done
fi
unset BENCH_CHILD

. "$SCORPIO_SRC/tests/lib/functions.sh"
. "$TESTLIB/fixtures.sh"
. "$TESTLIB/repos.sh"
ROUNDS=${BENCH_ROUNDS:-5}
BENCH_FS=$SCORPIO_BUILD/tools/bench_fs
MNT=$SCRATCH/scorpio
requires root fuse git scorpio
[ -x "$BENCH_FS" ] || skip "$BENCH_FS is not built"

quietly() { "$@" >"$SCRATCH/quiet.out" 2>&1 || { cat "$SCRATCH/quiet.out"; fail "$*"; }; }

# alone - from here on it is measured: wait for the files in BENCH_LOCKS (on a
# machine that is shared), and hold them to the end
alone() {
    local file fd
    for file in ${BENCH_LOCKS:-}; do
        exec {fd}>"$file"
        flock -x "$fd"
    done
    [ -z "${BENCH_LOCKS:-}" ] || echo "   alone, load $(cut -d' ' -f1 /proc/loadavg)"
}

# -- rows --------------------------------------------------------------------------

# row WHAT VALUE [UNIT] [BUDGET] [NOTE]
row() {
    printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "${3:-}" "${4:-}" "${5:-}" \
        >>"${BENCH_ROWS:-/dev/null}"
    printf '   %-50s %s%s %s\n' "$1" "$2" "${3:-}" "${5:-}"
}

calc() { awk "BEGIN { printf \"%.${2:-2}f\", $1 }"; }

# -- rounds ------------------------------------------------------------------------

declare -A LEG=()

# timed CMD... - prints nothing, sets SPENT in seconds. In a warm pass the daemon
# has nothing to do; on a machine that is shared BENCH_CLOCK=cpu takes, for these
# passes, the processor's time instead of the clock's, which counts the others.
timed() {
    local begin=${EPOCHREALTIME/./} code=0
    if [ "${CLOCK:-}" = cpu ]; then
        TIMEFORMAT='%U %S'
        { time "$@" >/dev/null 2>"$SCRATCH/timed.err" || code=$?; } \
            2>"$SCRATCH/timed.cpu"
        SPENT=$(awk '{ print $1 + $2 }' "$SCRATCH/timed.cpu")
        [ $code -eq 0 ] || fail "$* ended with $code: $(cat "$SCRATCH/timed.err")"
        return
    fi
    "$@" >/dev/null || code=$?
    SPENT=$(awk -v a="$begin" -v b="${EPOCHREALTIME/./}" \
        'BEGIN { printf "%.6f", (b - a) / 1e6 }')
    [ $code -eq 0 ] || fail "$* ended with $code"
}

# rounds N LEG... - calls the function of each leg in turn, N times over; the
# function leaves its seconds in SPENT
rounds() {
    local n=$1 i leg
    shift
    for leg; do LEG[$leg]=; done
    for ((i = 0; i < n; i++)); do
        for leg; do
            SPENT=
            "$leg"
            LEG[$leg]+=" $SPENT"
        done
    done
}

median() { # LEG
    # shellcheck disable=SC2086
    printf '%s\n' ${LEG[$1]} | sort -g |
        awk '{ v[NR] = $1 } END {
            a = int((NR + 1) / 2)
            b = int(NR / 2) + 1
            printf "%.6f", (v[a] + v[b]) / 2 }'
}

spread() { # LEG - (max - min) / median in percent
    # shellcheck disable=SC2086
    printf '%s\n' ${LEG[$1]} | sort -g |
        awk -v m="$(median "$1")" 'NR == 1 { a = $1 } { b = $1 }
            END { printf "%d", (b - a) / m * 100 }'
}

# ratio WHAT LEG BASE BUDGET - a row; the note has both medians and the spread
ratio() {
    local a b
    a=$(median "$2")
    b=$(median "$3")
    row "$1" "$(calc "$a / $b")" "" "${4:-}" \
        "$(calc "$a * 1000" 1) / $(calc "$b * 1000" 1) ms, spread $(spread "$3") %"
}

# -- legs --------------------------------------------------------------------------

# The same tree in several places; where each leg has it.
LEGS=()
declare -A AT=()
leg() { # NAME DIR
    LEGS+=("$1")
    AT[$1]=$2
}

# against WHAT FUNCTION TIMES [BUDGET [BUDGET_OVERLAY]] - FUNCTION LEG leaves its
# seconds in SPENT; rows with the ratios of scorpio to ext4 and to overlayfs
against() {
    local leg names=()
    for leg in "${LEGS[@]}"; do
        eval "$2_$leg() { $2 $leg; }"
        names+=("$2_$leg")
    done
    rounds "$3" "${names[@]}"
    ratio "$1 / ext4" "$2_scorpio" "$2_ext4" "${4:-}"
    [ -z "${AT[overlay]:-}" ] ||
        ratio "$1 / overlayfs" "$2_scorpio" "$2_overlay" "${5:-}"
    [ -z "${AT[bare]:-}" ] || ratio "$1 / bare FUSE" "$2_scorpio" "$2_bare"
    case " ${LEGS[*]} " in *" redirected "*)
        ratio "$1, redirected / ext4" "$2_redirected" "$2_ext4" ;;
    esac
}

# The same of what has been done before: each measured pass comes right after one
# that is not. Kernels that give back what was not touched for a while (DAMON)
# would make "warm" a lottery. Counts the requests in the measured passes of
# scorpio: all of them in ASKED, those of the best pass of each sort in ASKED_BEST,
# and in ASKED_READS the READs: for pages that the kernel had taken back.
ASKED=0 ASKED_BEST=0 ASKED_READS=0
against_warm() {
    eval "${2}_warm() { measured $2 \"\$1\"; }"
    ASKED_NOW=
    CLOCK=${BENCH_CLOCK:-}
    against "$1${CLOCK:+ ($CLOCK)}" "${2}_warm" "${@:3}"
    CLOCK=
    ASKED_BEST=$((ASKED_BEST + ASKED_NOW))
}
measured() { # FUNCTION LEG
    local before reads
    "$1" "$2"
    reads=$(metric 'scorpio_fuse_requests_total{op="read"}')
    before=$(metric scorpio_fuse_requests_total)
    "$1" "$2"
    before=$(($(metric scorpio_fuse_requests_total) - before))
    [ "$2" = scorpio ] || return 0
    ASKED=$((ASKED + before))
    ASKED_READS=$((ASKED_READS + $(metric \
        'scorpio_fuse_requests_total{op="read"}') - reads))
    [ "$ASKED_NOW" ] && [ "$ASKED_NOW" -le "$before" ] || ASKED_NOW=$before
}

# grep finds nothing, and says so with 1
grep_none() { grep -rFc --exclude-dir=.git nosuchwordanywhere "$1" || [ $? -eq 1 ]; }
# What every leg has in common
do_find() { timed find "${AT[$1]}" -name .git -prune -o -printf '%s\n'; }
do_grep() { timed grep_none "${AT[$1]}"; }

# -- what is compared ----------------------------------------------------------------

bench_tree() { # sets REPO and TREE
    case $BENCH_TREE in
    synthetic-*) fixture_synthetic "${BENCH_TREE#synthetic-}" ;;
    *) "fixture_$BENCH_TREE" ;;
    esac
    REPO=$FIXTURE
    fixture_checkout "$REPO"
    TREE=$FIXTURE
}

# workspace_legs [ARGS...] - a clone on ext4, a workspace (mounted with ARGS), and
# the tree with the clone's .git under overlayfs; git knows all three as clean
workspace_legs() {
    local dir
    . "$TESTLIB/gitwork.sh"
    bench_tree
    leg ext4 "$SCRATCH/ext4"
    git clone -q --shared "$REPO" "${AT[ext4]}"
    git -C "${AT[ext4]}" config core.untrackedCache true
    git -C "${AT[ext4]}" config gc.auto 0
    mkdir "$SCRATCH/dotgit"
    cp -a "${AT[ext4]}/.git" "$SCRATCH/dotgit/"
    overlay_over "$SCRATCH/dotgit:$TREE" && leg overlay "$SCRATCH/overlay"
    start_daemon
    quietly mount_source "$REPO" "$MNT" --rw "$@"
    wait_git "$MNT"
    git -C "$MNT" config gc.auto 0
    leg scorpio "$MNT"
    for dir in "${AT[@]}"; do
        git -C "$dir" status --porcelain >"$SCRATCH/status"
        [ ! -s "$SCRATCH/status" ] || fail "$dir is not clean"
    done
}

# overlay_over DIRS - kernel overlayfs on it at $SCRATCH/overlay
overlay_over() {
    mkdir -p "$SCRATCH"/{upper,work,overlay}
    mount -t overlay overlay -o \
        "lowerdir=$1,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" \
        "$SCRATCH/overlay" || return 1
}

# ext4_image FILE MiB DIR - an ext4 of its own, so that it can be remounted
ext4_image() {
    requires mkfs.ext4
    truncate -s "$2M" "$1"
    mkfs.ext4 -q -F -O ^has_journal "$1"
    mkdir -p "$3"
    mount -o loop,noatime "$1" "$3"
}

# take a file out of the page cache (pages that a process maps stay)
drop() {
    sync "$1"
    dd of="$1" oflag=nocache conv=notrunc,fdatasync count=0 status=none
}

rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

fresh_store() { # end the daemon, forget everything, start again
    if [ "${DAEMON_PID:-}" ]; then
        is_mounted "$MNT" && quietly scorpio_cli umount "$MNT"
        stop_daemon
    fi
    rm -rf "${DAEMON_STORE:-$SCRATCH/store}"
    start_daemon
}

show() { quietly mount_source "$1" "$MNT"; } # SOURCE - mounted at $MNT
hide() { quietly scorpio_cli umount "$MNT"; }
