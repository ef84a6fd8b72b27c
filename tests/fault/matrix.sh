#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# Every way a server can misbehave x everything that needs it. A cell either
# works, or ends with an error in time that is never "no such file", and then
# works without remounting as soon as the server does.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git jq

operations="lookup readdir read switch mount"
# server, then what each operation does while it is so
table="
down        fails  fails   fails fails  fails
stalled     fails  fails   fails fails  fails
slow        works  works   works works  works
truncating  fails  fails   fails fails  fails
lying       fails  fails   fails fails  fails
flapping    works  works   works works  works
"

# -- what each cell needs is its own: a directory, a branch to switch to, one
# to mount
repo=$SCRATCH/repo
git_repo "$repo"
cells=$(awk 'NF { for (i = 2; i <= 6; i++) print $1 i - 1 }' <<<"$table")
for cell in $cells; do
    mkdir -p "$repo/$cell/sub"
    seq 3000 | sed "s/^/$cell /" >"$repo/$cell/file"
    echo "$cell" >"$repo/$cell/sub/leaf"
done
git_commit "$repo" files
for cell in $cells; do
    git -C "$repo" checkout -q -b "to-$cell" main
    echo "switched $cell" >"$repo/$cell/sub/leaf"
    git_commit "$repo" "to $cell"
done
git -C "$repo" checkout -q main
publish "$repo" repo.git
start_fault_server "$SCRATCH/www"
write_config
cat >>"$DAEMON_CONFIG" <<END
[fetch]
stall_timeout = "1s"
connect_timeout = "1s"
timeout = "30s"
retries = 1
[fs]
request_timeout = "12s"
read_ahead = 0
metadata = "ondemand"
END
start_daemon --no-keeper
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m"

# -- the server
begin_fault() {
    case $1 in
    down) stop "$FAULT_PID" KILL || true ;;
    stalled) fault_add '{"times":-1,"kind":"stall","after":0,"seconds":60}' ;;
    slow) fault_add '{"times":-1,"kind":"slow","piece":400,"seconds":0.05}' ;;
    truncating) fault_add '{"times":-1,"kind":"truncate","after":30}' ;;
    lying) fault_add '{"times":-1,"kind":"corrupt","at":-40,"command":"fetch"}' ;;
    flapping) fault_add '{"times":-1,"kind":"close","every":2}' ;;
    esac
}
end_fault() {
    case $1 in
    down) fault_server_again ;;
    *) fault_clear ;;
    esac
}

# -- the operations: each fails with its program's code, or has checked all
op_lookup() { # CELL
    stat -c %F "$m/$1/sub" >"$SCRATCH/out" && grep -q directory "$SCRATCH/out"
}
op_readdir() {
    ls "$m/$1" >"$SCRATCH/out" && [ "$(xargs <"$SCRATCH/out")" = "file sub" ]
}
op_read() {
    cat "$m/$1/file" >"$SCRATCH/out" && cmp "$SCRATCH/out" "$repo/$1/file"
}
op_switch() { # all or nothing
    scorpio_cli -q switch "$m" "to-$1" || {
        local code=$? rev
        rev=$(scorpio_cli info --json "$m" | jq -r '.rev // .revision')
        case $rev in *to-"$1"*) return 99 ;; esac
        return $code
    }
    [ "$(cat "$m/$1/sub/leaf")" = "switched $1" ]
}
op_mount() {
    mkdir -p "$SCRATCH/m2"
    scorpio_cli -q mount --ro "$FAULT_URL/repo.git" "$SCRATCH/m2" \
        --rev "to-$1" || {
        local code=$?
        is_mounted "$SCRATCH/m2" && return 99
        return $code
    }
    local got
    got=$(cat "$SCRATCH/m2/$1/sub/leaf") || got=
    scorpio_cli -q umount "$SCRATCH/m2"
    [ "$got" = "switched $1" ]
}
export -f op_lookup op_readdir op_read op_switch op_mount scorpio_cli is_mounted \
    mounts_below

attempt() { # OPERATION CELL - its code in $code, its words in $words
    local begin
    begin=$(now_ms)
    code=0
    words=$(m=$m repo=$repo FAULT_URL=$FAULT_URL SCRATCH=$SCRATCH \
        SCORPIO=$SCORPIO DAEMON_CONFIG=$DAEMON_CONFIG DAEMON_PORT=$DAEMON_PORT \
        timeout -k 5 $((40 * SLOW)) bash -c '"$@"' - "op_$1" "$2" 2>&1) || code=$?
    took=$(($(now_ms) - begin))
}
works_now() {
    attempt "$1" "$2"
    [ "$code" -eq 0 ]
}
check_cell() { # SERVER OPERATION WANTED CELL
    begin_fault "$1"
    attempt "$2" "$4"
    printf '%-11s %-8s %s, %s after %s ms: %s\n' "$1" "$2" "$3" "$code" \
        "$took" "$(head -c 150 <<<"$words" | tr '\n' ' ')"
    case $code in
    124 | 137) fail "$1 x $2: hangs" ;;
    99) fail "$1 x $2: failed, and did it all the same" ;;
    0) [ "$3" = works ] || fail "$1 x $2: worked" ;;
    *) [ "$3" = fails ] || fail "$1 x $2: $words" ;;
    esac
    case $words in
    *"No such file"*) fail "$1 x $2: an entry that exists is said not to" ;;
    *"differ"*) fail "$1 x $2: wrong bytes" ;;
    esac
    daemon_answers || fail "$1 x $2: the daemon does not answer"
    end_fault "$1"
    poll_until 30 works_now "$2" "$4" ||
        fail "$1 x $2: does not work again: $code: $words"
    # a switch is undone, so that the next cell starts from the same place
    [ "$2" != switch ] || within 60 scorpio_cli -q switch "$m" main
}

while read -r server wants; do
    [ "$server" ] || continue
    i=0
    for want in $wants; do
        i=$((i + 1))
        op=$(cut -d' ' -f$i <<<"$operations")
        check_cell "$server" "$op" "$want" "$server$i"
    done
done <<<"$table"
scorpio_cli umount "$m"
