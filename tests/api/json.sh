#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --json of every reading command is JSON with the members scripts rely on, with
# a daemon and without, also with names that are not UTF-8.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git python3

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
echo x >"$SCRATCH/repo/d/"$'odd\xff\n"name'
echo x >"$SCRATCH/repo/plain"
git_commit "$SCRATCH/repo" one
start_daemon
mount_source "$SCRATCH/repo" "$SCRATCH/mnt"

has() { # KEYS CMD...   members, comma-separated; "a.b" goes deeper
    local keys=$1
    shift
    n=$((n + 1))
    "$@" >"$SCRATCH/out.$n" || fail "failed: $*"
    printf '%s\t%s\t%s\n' "$keys" "$SCRATCH/out.$n" "$*" >>"$SCRATCH/checks"
}
n=0

has version,plugin_abi scorpio_cli version --json
has pid,version,ready,store.path,listeners.1,backends.0.name,mounts.0.id \
    scorpio_cli --json status
has mounts.0.dir,mounts.0.source,mounts.0.rev,mounts.0.state,mounts.0.fetched.bytes \
    scorpio_cli list --json
has kind,id,size,mode,resident scorpio_cli info --json "$SCRATCH/mnt/plain"
has kind,id,path scorpio_cli info --json "$SCRATCH/mnt/d/"$'odd\xff\n"name'
has time_ms,requests,bytes_read,fetch_bytes scorpio_cli stats --json
cat "$SCRATCH/mnt/plain" >/dev/null
has processes.0.fetched_bytes,processes.0.misses scorpio_cli top --json
scorpio_cli top --json | python3 -c '
import json, sys
cats = [p for p in json.load(sys.stdin)["processes"] if p["command"] == "cat"]
assert sum(p["fetched_bytes"] for p in cats) == 2, cats' ||
    fail "top does not tell for whom was fetched"
has max_bytes,used_bytes,chunks scorpio_cli cache du --json
has damaged,chunks scorpio_cli cache verify --json
has damaged,chunks scorpio_cli fsck --json
has pins scorpio_cli cache pins --json
has freed_bytes scorpio_cli cache gc --dry-run --json
has plugins,backends.0.schemes scorpio_cli plugin list --json
has name scorpio_cli plugin info git --json
has keys.0.origin scorpio_cli config show --json
has checks.0.result scorpio_cli doctor --json
has profiles scorpio_cli profile list --json
has files,trees,finished scorpio_cli warmup --json "$SCRATCH/mnt"

scorpio_cli trace --json --duration 20 --count 1 >"$SCRATCH/trace" 2>"$SCRATCH/ready" &
tracer=$!
wait_until 10 grep -q tracing "$SCRATCH/ready"
scorpio_cli -q mount "$SCRATCH/repo" "$SCRATCH/again"
cat "$SCRATCH/again/d/"* >/dev/null
wait $tracer || fail "trace failed"
has op,path,latency_us,tier,pid cat "$SCRATCH/trace"

has mounts,pid scorpio_cli stop --json
has max_bytes scorpio_cli cache du --json
has damaged scorpio_cli fsck --json
has checks scorpio_cli doctor --json
has backends.0.name scorpio_cli plugin list --json

python3 - "$SCRATCH/checks" <<'END'
import json, sys
for line in open(sys.argv[1], encoding="utf-8", errors="replace"):
    if line.count("\t") != 2:
        continue  # the rest of a command with an odd name
    keys, file, command = line.rstrip("\n").split("\t")
    try:
        v = json.load(open(file, encoding="utf-8"))
        for key in keys.split(","):
            x = v
            for part in key.split("."):
                x = x[int(part)] if part.isdigit() else x[part]
    except Exception as e:
        sys.exit(f"{command}: {e!r}")
END
