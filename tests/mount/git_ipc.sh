#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# git's own client of a file system monitor gets the hook's answers by the socket
# fsmonitor--daemon.ipc of the repository; who sends nonsense, half a question or
# too much of it is let go, and keeps nobody else waiting
# shellcheck disable=SC2154 # git_dir: gitwork_pair
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/gitwork.sh"
requires fuse git python3

start_daemon
gitwork_seed "$SCRATCH/src"
gitwork_pair "$SCRATCH/src"
socket=$git_dir/fsmonitor--daemon.ipc
[ -S "$socket" ] || wait_until 20 test -S "$socket"

# ask TOKEN - the new token and the names, one a line; as git's client does
ask() {
    python3 - "$socket" "$1" <<'END_PY'
import os, socket, sys
where, text = sys.argv[1], sys.argv[2].encode()
s = socket.socket(socket.AF_UNIX)
s.settimeout(30)
os.chdir(os.path.dirname(where))
s.connect(os.path.basename(where))
s.sendall(b'%04x' % (len(text) + 4) + text + b'0000')
f, out = s.makefile('rb'), b''
while True:
    n = int(f.read(4), 16)
    if not n:
        break
    out += f.read(n - 4)
assert not f.read()
sys.stdout.buffer.write(out.replace(b'\0', b'\n'))
END_PY
}
# what the hook says to the same, without the names it adds for its walk
hook() {
    (cd "$W" && "$git_dir/fsmonitor" 2 "$1") | tr '\0' '\n'
}

first=$(ask builtin:fake)
assert_eq "$(tail -n 1 <<<"$first")" / "a token of another monitor: everything"
token=$(head -n 1 <<<"$first")
assert_eq "$(ask "$token")" "$token" "nothing happened"

echo 1 >>"$W/a.txt"
mkdir "$W/made"
echo 2 >"$W/made/f"
rm "$W/dir/one.c"
wait_for() { [ "$(ask "$token" | wc -l)" -gt 1 ]; }
wait_until 20 wait_for
answer=$(ask "$token")
for name in a.txt made made/f dir/one.c; do
    grep -qx "$name" <<<"$answer" || fail "$name is not told: $answer"
done
assert_eq "$(tail -n +2 <<<"$answer")" "$(hook "$token" | tail -n +2)" \
    "socket and hook"
token=$(head -n 1 <<<"$answer")
assert_eq "$(ask "$token")" "$token" "told once"

# a directory that moved would have to be walked: everything
mv "$W/lib" "$W/lib2"
answer=$(ask "$token")
assert_eq "$(tail -n +2 <<<"$answer")" / "a directory moved"
token=$(head -n 1 <<<"$answer")

# an answer of many packets
mkdir "$W/many"
(cd "$W/many" && seq -f 'a-rather-long-name-for-a-small-file-%g' 3000 | xargs touch)
assert_eq "$(ask "$token" | grep -c '^many/a-rather')" 3000 "names told"

# nonsense, half, and endless questions; those who come later are served
python3 - "$socket" >"$SCRATCH/hold" <<'END_PY'
import os, socket, sys, time
where = sys.argv[1]
os.chdir(os.path.dirname(where))
def dial():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(os.path.basename(where))
    return s
for text in (b'zzzz', b'0001', b'0003', b'ffff' + b'x' * 70000,
             b'0100' + b'y' * 252 + b'0100', b'-001', b'    '):
    s = dial()
    try:
        s.sendall(text)
        if text.startswith(b'0100'):
            s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b'', text[:4]
    except (BrokenPipeError, ConnectionResetError):
        pass
silent = [dial() for _ in range(3)] # they hold one answerer each
s = dial()
s.sendall(b'0005x0000')
assert s.recv(4), 'not served beside silent ones'
END_PY
assert_contains "$(ask "$token")" many "after that"

# the hook answers, unless the user sets something else; also after a new mount
assert_eq "$(git -C "$W" config core.fsmonitor)" "$git_dir/fsmonitor"
git -C "$W" config core.fsmonitor true
within 60 scorpio_cli -q umount "$W"
gitwork_mount "$SCRATCH/src" "$W"
assert_eq "$(git -C "$W" config core.fsmonitor)" true
wait_until 20 test -S "$socket"
if [ "${GIT_WITH_CLIENT:-}" ]; then # a git whose client knows the socket
    export GIT_TRACE2_EVENT=$SCRATCH/event
    assert_eq "$("$GIT_WITH_CLIENT" -C "$W" status --porcelain)" \
        "$(git -C "$W" -c core.fsmonitor=false status --porcelain)"
    "$GIT_WITH_CLIENT" -C "$W" status >/dev/null
    unset GIT_TRACE2_EVENT
    grep -q '"fsm_client".*"query/response-length"' "$SCRATCH/event" ||
        fail "the client did not ask"
fi
within 60 scorpio_cli -q umount "$W"
[ ! -e "$socket" ] || fail "the socket is left"
