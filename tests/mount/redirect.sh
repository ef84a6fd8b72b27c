#!/bin/bash
# redirected directories: build output on the local disk, no change of the
# workspace, none for git; there again after umount, kill and restart; gone with
# the workspace; refused clearly where they cannot be
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse root git cc make python3

git_repo "$SCRATCH/src"
(
    cd "$SCRATCH/src"
    mkdir lib
    for i in 1 2 3 4; do echo "int f$i(void) { return $i; }" >lib/f$i.c; done
    cat >main.c <<'END'
int f1(void), f2(void), f3(void), f4(void);
int main(void) { return f1() + f2() + f3() + f4() != 10; }
END
    cat >Makefile <<'END'
O := out/obj
OBJS := $(patsubst %.c,$(O)/%.o,$(wildcard lib/*.c) main.c)
out/prog: $(OBJS)
	$(CC) -o $@ $^
$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) -c -o $@ $<
END
    git add -A
    git commit -qm all
)
start_daemon
W=$SCRATCH/w
mnt() { scorpio_cli mount "$SCRATCH/src" "$W" "$@"; }
kind() { stat -f -c %T "$1"; }

note "a build whose output lives elsewhere"
mnt --redirect out --redirect deep/er/cache/
wait_git "$W"
[ "$(kind "$W/out")" = "$(kind "$SCRATCH")" ] || fail "out is on FUSE"
[ "$(kind "$W/deep/er/cache")" = "$(kind "$SCRATCH")" ] || fail "cache is"
make -C "$W" -s -j2
"$W/out/prog" || fail "what was built"
make -C "$W" -q || fail "it builds again"
assert_eq "$(scorpio_cli status "$W" 2>/dev/null)" "" "no change"
assert_eq "$(git -C "$W" status --porcelain)" "" "nothing for git"
assert_eq "$(git -C "$W" -c core.fsmonitor=false -c core.untrackedCache=false \
    status --porcelain)" "" "nothing for git that looks itself"
list=$(scorpio_cli list)
assert_contains "$list" "$W/out is redirected to" "list"
assert_contains "$(scorpio_cli status)" "$W/deep/er/cache is redirected" status
assert_fails scorpio_cli info "$W/out/prog"
assert_contains "$OUTPUT" "is redirected to the local disk" "info"
state=$(dirname "$(git -C "$W" rev-parse --git-dir)")
[ -x "$state/redirect/out/prog" ] || fail "not in the workspace's directory"

note "reset and switch leave it alone"
echo '/* mine */' >>"$W/main.c"
scorpio_cli reset "$W" --yes >/dev/null
"$W/out/prog" || fail "after reset"
make -C "$W" -s # main.c has a new time

note "in use: umount says so, and everything stays"
(cd "$W/out" && exec sleep 600) &
sleeper=$!
poll_until 10 test "$(readlink "/proc/$sleeper/cwd")" = "$W/out"
assert_fails scorpio_cli umount "$W"
assert_contains "$OUTPUT" "in use" "why"
"$W/out/prog" || fail "after a refused umount"
[ "$(kind "$W/deep/er/cache")" = "$(kind "$SCRATCH")" ] || fail "cache is gone"
kill "$sleeper"
wait "$sleeper" || true

note "unmounted and mounted again without a word"
within 60 scorpio_cli umount "$W" >/dev/null
[ -x "$state/redirect/out/prog" ] || fail "the output is gone"
mnt
"$W/out/prog" || fail "after a remount"
make -C "$W" -q || fail "it builds again after a remount"

note "killed and started again"
stop_daemon KILL
unmount_lazily "$W"
start_daemon
poll_until 20 "$W/out/prog" || fail "after a kill"
assert_eq "$(scorpio_cli status "$W" 2>/dev/null)" "" "no change"

note "discarded with the workspace"
within 60 scorpio_cli umount "$W" >/dev/null
scorpio_cli workspace remove "$(basename "$state")" >/dev/null
[ ! -e "$state" ] || fail "$state is left"

note "empty output keeps no workspace"
mnt --redirect out >/dev/null
wait_git "$W"
within 60 scorpio_cli umount "$W" >/dev/null
[ ! -e "$state" ] || fail "$state is left"

note "refused, with nothing mounted"
refused() { # WHY ARGS...
    local why=$1
    shift
    assert_fails mnt "$@"
    assert_contains "$OUTPUT" "$why" "why"
    ! mountpoint -q "$W" || fail "$W is mounted"
}
refused "something in it" --redirect out --redirect lib
refused "something else" --redirect Makefile
refused "a path below" --redirect ../x
refused "a path below" --redirect .git/x
refused "within each other" --redirect a --redirect a/b
refused "read-only view" --ro --redirect out
assert_eq "$(find "$SCRATCH" -path '*/workspaces/*' -name redirects)" "" \
    "workspaces of refused mounts"

note "by the API, and by the source's configuration"
stop_daemon
unmount_lazily "$W"
cat >>"$DAEMON_CONFIG" <<END
[source.here]
url = "$SCRATCH/src"
redirect = "out, target"
END
start_daemon
mnt >/dev/null
assert_eq "$(scorpio_cli list --json | python3 -c '
import json, sys
print([r["path"] for r in json.load(sys.stdin)["mounts"][0]["redirects"]])')" \
    "['out', 'target']" "configured"
within 60 scorpio_cli umount "$W" >/dev/null
curl -fsS --noproxy '*' -X POST -H 'Content-Type: application/json' \
    -d '{"source":"'"$SCRATCH/src"'","dir":"'"$W"'","redirect":["api"]}' \
    "$DAEMON_URL/api/v1/mounts" >/dev/null
[ "$(kind "$W/api")" = "$(kind "$SCRATCH")" ] || fail "api is on FUSE"
within 60 scorpio_cli umount "$W" >/dev/null
