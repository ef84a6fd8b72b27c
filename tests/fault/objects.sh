#!/bin/bash
# timeout: 200
# A server that lies: other content under an id, a missing object. The bytes are
# refused, other files are fine.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git jq python3

git_repo "$SCRATCH/repo"
seq 1 5000 >"$SCRATCH/repo/good"
seq 1 5001 >"$SCRATCH/repo/bad"
echo gone >"$SCRATCH/repo/gone"
git_commit "$SCRATCH/repo" files
mkdir -p "$SCRATCH/www"
git clone -q --bare --no-local "$SCRATCH/repo" "$SCRATCH/www/repo.git"
r=$SCRATCH/www/repo.git
git -C "$r" config uploadpack.allowFilter true
for pack in "$r"/objects/pack/*.pack; do
    mv "$pack" "$SCRATCH/p.pack"
    rm -f "${pack%.pack}".*
    git -C "$r" unpack-objects -q <"$SCRATCH/p.pack"
done
object() { # NAME - file of the loose object
    local id
    id=$(git -C "$SCRATCH/repo" rev-parse "HEAD:$1")
    echo "$r/objects/${id:0:2}/${id:2}"
}
# well-formed, but not what the id says
python3 - "$(object bad)" <<'END'
import os, sys, zlib
data = b"evil\n" * 100
os.chmod(sys.argv[1], 0o644)
open(sys.argv[1], "wb").write(zlib.compress(b"blob %d\0" % len(data) + data))
END
rm -f "$(object gone)"

start_fault_server "$SCRATCH/www"
write_config
printf '[fetch]\nretries = 0\ntimeout = "8s"\nstall_timeout = "3s"\n' \
    >>"$DAEMON_CONFIG"
start_daemon
mount_source "$FAULT_URL/repo.git" "$SCRATCH/m" --rev main
m=$SCRATCH/m
cmp "$m/good" "$SCRATCH/repo/good"
for f in bad gone; do
    assert_fails within 30 cat "$m/$f"
    note "$f: $OUTPUT"
    case $OUTPUT in
    *evil* | *"No such file"*) fail "$f: $OUTPUT" ;;
    esac
done
cmp "$m/good" "$SCRATCH/repo/good"
# repaired at the server: readable at once
for f in bad gone; do
    (cd "$SCRATCH/repo" && cat "$f") | git -C "$r" hash-object --stdin >"$SCRATCH/id"
    rm -f "$(object $f)"
    git -C "$r" hash-object -w --stdin <"$SCRATCH/repo/$f" >/dev/null
    wait_until 20 cmp "$m/$f" "$SCRATCH/repo/$f"
done
