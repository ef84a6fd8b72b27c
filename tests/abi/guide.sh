#!/bin/bash
# timeout: 200
# docs/plugin-guide.md: its code compiles without a warning, keeps to the
# contract, and its commands work as written
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires make gcc scorpio
[ -x "$SCORPIO_BUILD/scorpio-check-backend" ] || skip "the checker is not built"
case $SCORPIO_BUILD in */asan | */tsan) skip "the release build shows it" ;; esac

guide=$SCORPIO_SRC/docs/plugin-guide.md
dir=$SCRATCH/shout
mkdir "$dir"

# blocks marked <!-- file: NAME --> are appended to NAME, <!-- run --> to run.sh
awk -v dir="$dir" '
    /^<!-- file: / { to = dir "/" $3; next }
    /^<!-- run -->/ { to = dir "/run.sh"; next }
    /^<!-- run: fuse -->/ { to = dir "/run-fuse.sh"; next }
    /^```/ && inside { inside = 0; to = ""; next }
    /^```/ && to != "" { inside = 1; next }
    inside { print > to }' "$guide"
for f in Makefile shout.c run.sh run-fuse.sh; do
    [ -s "$dir/$f" ] || fail "no block of $f in the guide"
done

# a daemon of our own, so that none of the user is met
write_config
mkdir "$SCRATCH/bin"
cat >"$SCRATCH/bin/scorpio" <<END
#!/bin/sh
exec "$SCORPIO" -c "$DAEMON_CONFIG" --http-addr 127.0.0.1:$DAEMON_PORT "\$@"
END
chmod +x "$SCRATCH/bin/scorpio"
export PATH=$SCRATCH/bin:$SCORPIO_BUILD:$PATH
export SCORPIO_CFLAGS="-I$SCORPIO_SRC/include"
export CFLAGS="-O2 -Wall -Wextra -Wpedantic -Werror"
cd "$dir"
bash -e run.sh >"$SCRATCH/run.log" 2>&1 || fail "$(tail -n 20 "$SCRATCH/run.log")"
tail -n1 "$SCRATCH/run.log"

if ! { [ -e /dev/fuse ] && [ "$(id -u)" -eq 0 ]; }; then
    note "not mounted: needs root and /dev/fuse"
    exit 0
fi
at_exit sh -c 'scorpio stop >/dev/null 2>&1 || true'
out=$(bash -e run-fuse.sh 2>&1) || fail "mounting: $out"
assert_contains "$out" HELLO "loud.txt"
scorpio stop >/dev/null
