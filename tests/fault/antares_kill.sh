#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 200
# Mounts of the Antares API go on through the death of the daemon and through
# `scorpio restart`: open files, changes, what the API tells. One that was made and
# not recorded, for the daemon was killed before, does not stay; but nothing goes
# when the record was damaged
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"

antares_setup
base=$(git -C "$SCRATCH/repo" rev-parse main)
start_daemon

# make NAME - a worktree, and a mount in a directory of the daemon's choice; sets
# NAME_id, other_id and other_dir
make() {
    mkdir -p "$SCRATCH/$1"
    api_py "$base" "$1" <<'END_PY'
base, name = sys.argv[1:]
one = api.row("POST", "/worktrees", 201, ANY, {"repo_path": "/project", "worktree_id": name,
              "mountpoint": SCRATCH + "/" + name, "lower_revision": base}).json
two = api.row("POST", "/mounts", 200, ANY, {"path": "/project", "job_id": "job-" + name}).json
print(one["mount_id"], two["mount_id"], two["mountpoint"], file=open(SCRATCH + "/ids", "w"))
END_PY
    read -r one two dir <"$SCRATCH/ids"
    echo before >"$SCRATCH/$1/new"
    echo before >"$dir/new"
}

go_on() {
    echo "$1" >&7
    echo "$1" >&8
    poll_until 30 daemon_answers || fail "$1: it does not answer"
    for d in "$SCRATCH/tree" "$dir"; do
        assert_eq "$(tail -n1 "$d/new")" "$1"
        assert_eq "$(cat "$d/deep/n1")" "$(cat "$SCRATCH/repo/project/deep/n1")"
    done
    api_py "$one" "$two" "$dir" <<'END_PY'
for id in sys.argv[1:3]:
    m = api.row("GET", "/mounts/" + id, 200, ANY).json
    check(m["state"] in ("Ready", "Mounted"), str(m))
    c = api.call("GET", "/mounts/%s/changes" % id)
    check(id != sys.argv[1] or [x["path"] for x in c.json["changes"]] == ["new"], c.text)
END_PY
}

make tree
exec 7>>"$SCRATCH/tree/new" 8>>"$dir/new"
for how in killed again; do
    kill -KILL "$(daemon_process)"
    go_on "$how"
done
scorpio_cli restart
go_on replaced
kill -KILL "$(daemon_process)" # what the record says now is read, too
go_on "once more"
exec 7>&- 8>&-
stop_daemon
start_daemon
wait_until 30 is_mounted "$SCRATCH/tree"
assert_eq "$(tail -n1 "$SCRATCH/tree/new") $(tail -n1 "$dir/new")" "once more once more"
kept_one=$one kept_two=$two kept_dir=$dir

# -- made, and not recorded
unrecord() { # ID...
    python3 - "$AROOT/state.toml" "$@" <<'END_PY'
import sys
parts = open(sys.argv[1]).read().split("\n[[mounts]]\n")
left = [p for p in parts if not any('"%s"' % i in p.split("\n")[0] for i in sys.argv[2:])]
assert len(left) == len(parts) - len(sys.argv) + 2, parts
open(sys.argv[1], "w").write("\n[[mounts]]\n".join(left))
END_PY
}
gone_for_good() {
    wait_until 30 is_mounted "$SCRATCH/tree"
    wait_until 30 is_mounted "$kept_dir"
    ours_alone() {
        [ "$(find "$AROOT/upper" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)" = \
            "$(printf '%s\n' "$kept_one" "$kept_two" | sort)" ]
    }
    wait_until 30 ours_alone
    ! is_mounted "$SCRATCH/$1" || fail "$1 is mounted, and nobody's"
    ! is_mounted "$dir" || fail "$dir is mounted, and nobody's"
    [ ! -e "$dir" ] || fail "$dir is left behind"
    ! scorpio_cli list | grep -qF "$SCRATCH/$1" || fail "$1 is to come back"
    assert_eq "$(tail -n1 "$SCRATCH/tree/new")" "once more"
}
make half
unrecord "$one" "$two"
kill -KILL "$(daemon_process)" # goes on with the session, until it looks
poll_until 30 daemon_answers || fail "it does not answer"
gone_for_good half
make full
unrecord "$one" "$two"
stop_daemon KILL # with the keeper
start_daemon
gone_for_good full

# -- the record is damaged: what it named may be somebody's work
make last
stop_daemon KILL
unmount_lazily "$SCRATCH/last" 2>/dev/null || true
echo '[[mounts' >"$AROOT/state.toml"
start_daemon
poll_until 30 daemon_answers || fail "it does not answer"
wait_until 30 is_mounted "$SCRATCH/last"
assert_eq "$(cat "$AROOT/upper/$one/meta" >/dev/null && cat "$SCRATCH/last/new")" before
assert_eq "$(tail -n1 "$SCRATCH/tree/new")" "once more"
[ -e "$AROOT/state.toml.bad" ] || fail "nothing was set aside"
grep -q "what no record names in" "$SCRATCH/daemon-$DAEMON_PORT.log" || fail "nobody told of it"
