#!/bin/bash
# a daemon without privileges: everything that needs none works, what needs some
# is refused by name; and whose the files are that root mounts for a user
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse root git setpriv fusermount3 lighttpd python3 gcc
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not setuid"

ID=$(id -u nobody) # fusermount3 wants one that has a name
HERE=$(mktemp -d -p /tmp)
at_exit rm -rf "$HERE"
chmod 711 "$HERE"
as_user() {
    (cd "$HERE" && exec setpriv --reuid "$ID" --regid "$ID" --clear-groups \
        env -i PATH="$PATH" HOME="$HERE/home" "$@")
}
mkdir "$HERE/bin" "$HERE/home" "$HERE/w" "$HERE/src"
cp "$SCORPIO" "$(dirname "$SCORPIO")/scorpio-fsmonitor" "$HERE/bin"
cp "$HOME/.gitconfig" "$HERE/home"
chmod 755 "$HERE/bin" "$HERE/bin/"*
gitwork_seed "$HERE/src"
chown -R "$ID:$ID" "$HERE/home" "$HERE/w" "$HERE/src"
git config --global --add safe.directory '*'
mkdir "$SCRATCH/www"
git clone -q --bare "$HERE/src" "$SCRATCH/www/origin.git"
start_git_server "$SCRATCH/www"
gcc -std=gnu11 -D_GNU_SOURCE -O1 -fPIC -shared -I. -Iinclude -o "$HERE/intruder.so" \
    "$TESTLIB/intruder.c"
cat >"$HERE/scorpio.toml" <<END
store_path = "$HERE/home/store"
[plugins]
load = ["$HERE/intruder.so"]
END
PORT=$(free_port)
cli() {
    as_user "$HERE/bin/scorpio" -c "$HERE/scorpio.toml" \
        --http-addr "127.0.0.1:$PORT" "$@"
}
end_it() {
    fusermount3 -uz "$HERE/w" 2>/dev/null || umount -l "$HERE/w" 2>/dev/null ||
        true
    cli stop >/dev/null 2>&1 || true
}
at_exit end_it
W=$HERE/w
ugit() { as_user git -C "$W" "$@"; }

for source in "$HERE/src" "$GIT_URL/origin.git"; do
    note "== $source"
    cli mount "$source" "$W" >/dev/null
    wait_until 60 eval 'ugit status >/dev/null 2>&1'
    assert_eq "$(as_user stat -c %u:%g "$W/a.txt" "$W/dir" | sort -u)" "$ID:$ID"
    assert_eq "$(ugit status --porcelain)" ""
    as_user sh -c "cd '$W' && echo more >>a.txt && mkdir d && mv d e &&
        chmod +x README && ln a.txt b.txt && rm foo/x && mv lib lib2"
    assert_contains "$(cli status "$W")" "a.txt" "changes"
    assert_contains "$(cli diff "$W" a.txt)" "+more" "a patch"
    ugit add -A
    ugit commit -qm mine
    assert_eq "$(ugit status --porcelain)" ""
    ugit reset -q --hard HEAD~1
    ugit clean -qfd
    as_user rmdir "$W/e" 2>/dev/null || true
    old=$(ugit rev-parse HEAD~1 2>/dev/null || as_user git -C "$HERE/src" \
        rev-parse HEAD~1)
    cli switch "$W" "$old" >/dev/null
    assert_eq "$(as_user cat "$W/README")" readme "the revision before"
    cli umount "$W" >/dev/null
    cli mount "$source" "$W" >/dev/null
    assert_eq "$(as_user cat "$W/README")" readme "again"
    cli umount "$W" >/dev/null
    name=$(cli workspace list --json | python3 -c '
import json, sys
print(" ".join(w["name"] for w in json.load(sys.stdin)["workspaces"]))')
    for n in $name; do cli workspace remove "$n" >/dev/null; done
done

note "the daemon dies, and both processes: the user's mount goes on, and comes back"
pid_of() { cli status --json | python3 -c "import json, sys
print(json.load(sys.stdin)['$1'])"; }
cli mount "$HERE/src" "$W" --workspace kept >/dev/null
as_user sh -c "echo mine >'$W/mine'"
died=$(pid_of daemon_pid)
kill -KILL "$died"
assert_eq "$(as_user cat "$W/mine")" mine "after kill -9"
replaced() { [ "$(pid_of daemon_pid)" != "$died" ]; }
wait_until 30 replaced
died="$(pid_of keeper_pid) $(pid_of daemon_pid)"
# shellcheck disable=SC2086 # two
kill -KILL $died
as_user fusermount3 -uz "$W" 2>/dev/null || true
all_gone() { # shellcheck disable=SC2086
    ! kill -0 $died 2>/dev/null
}
wait_until 20 all_gone
as_user fusermount3 -uz "$W" 2>/dev/null || true
cli serve --background >/dev/null
back() { [ "$(as_user cat "$W/mine" 2>/dev/null)" = mine ]; }
wait_until 30 back
assert_eq "$(as_user stat -c %u "$W/mine")" "$ID" "owner"
cli umount "$W" >/dev/null
cli workspace remove kept >/dev/null

note "what is refused to the daemon itself: programs with more rights, and calls"
cli stop >/dev/null
as_user env INTRUDER_LOG="$HERE/home/tried" "$HERE/bin/scorpio" -c "$HERE/scorpio.toml" \
    --http-addr "127.0.0.1:$PORT" serve --background >/dev/null
daemon=$(pid_of daemon_pid)
grep -q '^NoNewPrivs:.1' "/proc/$daemon/status" || fail "the daemon may gain rights"
grep -q '^NoNewPrivs:.0' "/proc/$(pid_of keeper_pid)/status" ||
    fail "the keeper cannot unmount"
cli mount --ro hello+you "$W" >/dev/null
assert_eq "$(as_user cat "$W/hello.txt")" "Hello, you!"
cat "$HERE/home/tried"
for call in process_vm_readv kcmp io_uring_setup userfaultfd; do
    grep -q "^$call 1$" "$HERE/home/tried" || fail "$call is not refused"
done
grep -q '^no_new_privs 1' "$HERE/home/tried" || fail "more rights for a backend"
assert_contains "$(cli doctor || true)" "programs with more rights than their caller"
# in use: it says so; then the process that mounts is killed, and that is said
as_user sh -c "cd '$W' && echo \$\$ >'$HERE/home/pid' && exec sleep 300" &
in_use() { [ -s "$HERE/home/pid" ]; }
wait_until 10 in_use
assert_fails cli umount "$W"
assert_contains "$OUTPUT" "in use" "what fusermount3 says"
kill "$(cat "$HERE/home/pid")"
wait $! || true
cli umount "$W" >/dev/null
helper=$(pgrep -x scorpio-mounts -P "$daemon")
kill -KILL "$helper"
assert_fails cli mount --ro hello+again "$W"
assert_contains "$OUTPUT" "scorpio restart" "advice"
cli restart >/dev/null
cli mount --ro hello+again "$W" >/dev/null
cli umount "$W" >/dev/null
helper=$(pgrep -x scorpio-mounts -P "$(pid_of daemon_pid)")
cli stop >/dev/null
helper_gone() { ! kill -0 "$helper" 2>/dev/null; }
wait_until 10 helper_gone
cli serve --background --set server.confine=false >/dev/null
grep -q '^NoNewPrivs:.0' "/proc/$(pid_of daemon_pid)/status" ||
    fail "it cannot be switched off"

note "what takes privileges is refused by name"
assert_fails cli mount --redirect out "$HERE/src" "$W"
assert_contains "$OUTPUT" "only root" "redirections"
if ! grep -q '^user_allow_other' /etc/fuse.conf 2>/dev/null; then
    assert_fails cli mount --allow-other "$HERE/src" "$W"
    assert_contains "$OUTPUT" "user_allow_other" "allow_other"
fi
! mountpoint -q "$W" || fail "$W is mounted"
cli stop >/dev/null

note "root mounts for somebody else"
write_config "$HERE/root" # the user must be able to come there
start_daemon
M=$HERE/m
scorpio_cli mount "$HERE/src" "$M" --uid "$ID" --gid "$ID" >/dev/null
wait_git "$M"
assert_eq "$(stat -c %u:%g "$M" "$M/dir/one.c" | sort -u)" "$ID:$ID" "owner"
as_user sh -c "echo more >>'$M/a.txt' && echo new >'$M/new' && rm '$M/README'"
assert_eq "$(stat -c %u:%g "$M/new" "$M/a.txt" | sort -u)" "$ID:$ID" "written"
as_user git -C "$M" commit -qam mine
assert_eq "$(as_user git -C "$M" status --porcelain)" "?? new"
assert_eq "$(find "$(git -C "$M" rev-parse --git-dir)" ! -uid "$ID" -print -quit |
    grep -v scorpio || true)" "" "the repository is the user's"
within 60 scorpio_cli umount "$M" >/dev/null
scorpio_cli mount "$HERE/src" "$M" --workspace shut --no-allow-other >/dev/null
assert_fails as_user ls "$M"
within 60 scorpio_cli umount "$M" >/dev/null
