#!/bin/bash
# timeout: 120
# Programs that get signals while they wait for a server: timers and ended
# children change nothing, Ctrl-C and kill end them at once; doctor and metrics
# tell who waits for longer than a second, and where
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"

new_repo d # siblings of what is read may come along
head -c 30000 /dev/urandom >"$REPO/f1"
head -c 30000 /dev/urandom >"$REPO/d/f2"
serve_repo
write_config
printf '[fs]\nread_ahead = 0\n' >>"$DAEMON_CONFIG"
start_daemon
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m" --rev main
ls -lR "$m" >/dev/null

# C's open, read and stat, which do not hide EINTR as Python's own do
cat >"$SCRATCH/reader.py" <<'END'
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.read.restype = ctypes.c_ssize_t
def check(what, r):
    if r < 0:
        sys.exit(what + ": " + os.strerror(ctypes.get_errno()))
    return r
for name in sys.argv[2:]:
    sig = getattr(signal, name)
    signal.signal(sig, lambda *a: None)
    if sig == signal.SIGALRM:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
fd = check("open", libc.open(sys.argv[1].encode(), os.O_RDONLY))
buf = ctypes.create_string_buffer(65536)
n = check("read", libc.read(fd, buf, 65536))
signal.setitimer(signal.ITIMER_REAL, 0) # its handler goes before the end
sys.stdout.buffer.write(buf.raw[:n])
END
slow() {
    fault_clear
    fault_add '{"method":"POST","times":-1,"kind":"stall","after":0,"seconds":'"$1}"
}

fault_add '{"method":"POST","kind":"slow","piece":10000,"seconds":0.3}'
python3 "$SCRATCH/reader.py" "$m/f1" SIGALRM >"$SCRATCH/out" ||
    fail "a timer broke a read"
cmp "$SCRATCH/out" "$REPO/f1"

slow 60
waiting() { # the reader's request is under way
    [ "$(scorpio_cli list --json | jq '.mounts[0].waiting')" -gt 0 ]
}
told() { # doctor names the request of $PID
    local out
    out=$(scorpio_cli doctor || true)
    [[ $out =~ read\ of\ inode\ [0-9]+\ by\ process\ $PID\ waits\ for\ $FAULT_URL ]]
}
slow_ones() { # N
    [ "$(metric 'scorpio_requests_slow')" -eq "$1" ]
}
wait_until 20 slow_ones 0
for sig in KILL TERM INT; do
    # a background job ignores SIGINT unless it says otherwise
    case $sig in
    INT) catch=SIGINT ;;
    *) catch=SIGALRM ;;
    esac
    start reader python3 "$SCRATCH/reader.py" "$m/d/f2" "$catch"
    wait_until 20 waiting
    [ "$sig" = INT ] || sleep 0.3 # a tick of the timer, or two
    if [ "$sig" = KILL ]; then
        wait_until 20 told
        slow_ones 1 || fail "no slow request in the metrics"
        [ "$(metric scorpio_request_oldest_seconds)" -ge 1 ] ||
            fail "the oldest request is younger than the one seen"
    fi
    begin=$(now_ms)
    kill "-$sig" "$PID"
    gone() { ! kill -0 "$PID" 2>/dev/null; }
    wait_until 20 gone
    assert_le $(($(now_ms) - begin)) $((8000 * SLOW)) "ms until SIG$sig worked"
done

# a page fault waits in the kernel: also that ends by a kill at once
start reader python3 -c 'import mmap, sys
f = open(sys.argv[1], "rb")
print(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[20000])' "$m/d/f2"
wait_until 20 waiting
kill -KILL "$PID"
wait_until 20 gone
wait_until 20 slow_ones 0
fault_clear
cmp "$m/d/f2" "$REPO/d/f2"
