#!/bin/bash
# timeout: 200
# Servers that want a login: from netrc, a credential helper, a token file, the
# URL; never sent elsewhere, never shown
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo
echo hello >"$REPO/file"
serve_repo --user alice:wonder-land

attempt() { # WHAT [MOUNT URL] - with what is configured now; must show the tree
    write_config "$SCRATCH/d-$1"
    cat >>"$DAEMON_CONFIG"
    start_daemon
    mount_source "${2:-$FAULT_URL/repo.git}" "$SCRATCH/m-$1"
    assert_eq "$(cat "$SCRATCH/m-$1/file")" hello "$1"
    scorpio_cli list >"$SCRATCH/out"
    scorpio_cli list --json >>"$SCRATCH/out"
    curl -fsS --noproxy '*' "$DAEMON_URL/metrics" >>"$SCRATCH/out"
    cat "$SCRATCH/daemon-$DAEMON_PORT.log" >>"$SCRATCH/out"
    grep -q 'wonder-land' "$SCRATCH/out" && fail "$1: the password is shown"
    scorpio_cli umount "$SCRATCH/m-$1"
    stop_daemon
    note "login by $1 works"
}

# none: refused in words
write_config "$SCRATCH/none"
printf '[git]\ncredential_helper = false\n' >>"$DAEMON_CONFIG"
start_daemon
assert_fails within 30 scorpio_cli mount "$FAULT_URL/repo.git" "$SCRATCH/m"
note "$OUTPUT"
grep -qiE 'login|credential|401|auth' <<<"$OUTPUT" || fail "unclear: $OUTPUT"
stop_daemon

printf 'machine 127.0.0.1 login alice password wonder-land\n' >"$SCRATCH/netrc"
chmod 600 "$SCRATCH/netrc"
attempt netrc <<<"[http]
netrc = \"$SCRATCH/netrc\""

printf '#!/bin/sh\necho username=alice\necho password=wonder-land\n' \
    >"$SCRATCH/helper"
chmod +x "$SCRATCH/helper"
git config --global credential.helper "$SCRATCH/helper"
attempt helper <<<"[http]
netrc = \"none\""
git config --global --unset credential.helper

attempt url "http://alice:wonder-land@127.0.0.1:$FAULT_PORT/repo.git" <<<""

attempt source_header <<<"[source.here]
url = \"$FAULT_URL\"
header = \"Authorization: Basic $(printf alice:wonder-land | base64)\""

stop "$FAULT_PID" || true
start_fault_server "$SCRATCH/www" --bearer s3cret-token
echo s3cret-token >"$SCRATCH/token"
chmod 600 "$SCRATCH/token"
attempt token_file <<<"[source.here]
url = \"$FAULT_URL\"
token_file = \"$SCRATCH/token\""

# a redirect to another host must not take the login along
other=$(free_port)
cat >"$SCRATCH/listen.py" <<'END'
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.2", int(sys.argv[1])))
s.listen(16)
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.settimeout(3)
    try:
        print(c.recv(65536).decode("latin-1"), flush=True)
        c.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        pass
    c.close()
END
start elsewhere python3 "$SCRATCH/listen.py" "$other"
wait_until 5 grep -q ready "$SCRATCH/elsewhere.log"
fault_add '{"kind":"redirect","times":-1,"code":302,"to":"http://127.0.0.2:'"$other"'"}'
write_config "$SCRATCH/redirect"
printf '[source.here]\nurl = "%s"\ntoken_file = "%s"\n' "$FAULT_URL" \
    "$SCRATCH/token" >>"$DAEMON_CONFIG"
start_daemon
assert_fails within 60 scorpio_cli mount "$FAULT_URL/repo.git" "$SCRATCH/m"
grep -q 'GET /' "$SCRATCH/elsewhere.log" || note "the redirect was not followed"
grep -q 's3cret-token' "$SCRATCH/elsewhere.log" && fail "the token went elsewhere"
exit 0
