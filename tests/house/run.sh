#!/bin/bash
# tests/run itself: counting, skipping, time limits, leftovers, closing line
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"

tree=$SCRATCH/tree
export SCORPIO_BUILD=build
mkdir -p "$tree/tests/api" "$tree/tests/unit" "$tree/build/unit"
cp "$SCORPIO_SRC/tests/run" "$tree/tests/"

script() { # NAME: body from stdin
    { echo '#!/bin/bash'; cat; } >"$tree/tests/api/$1.sh"
}

script good <<<'exit 0'
script unfit <<<'echo "skip: needs the moon"; exit 77'
(cd "$tree" && tests/run >"$SCRATCH/out")
assert_eq "$(tail -n1 "$SCRATCH/out")" "1 passed, 0 failed, 1 skipped"
assert_contains "$(cat "$SCRATCH/out")" "api/unfit: needs the moon"

# Check programs count by the check
touch "$tree/tests/unit/check_x.c" "$tree/tests/unit/check_y.c"
printf '#!/bin/sh\necho "83%%: Checks: 6, Failures: 1, Errors: 0"; exit 1\n' \
    >"$tree/build/unit/check_x"
chmod +x "$tree/build/unit/check_x"

script bad <<<'echo something went wrong; exit 3'
script slow <<'END'
# timeout: 1
sleep 100
END
script untidy <<<'sleep 100 & exit 0'
script daemon <<<'setsid sleep 100 & exit 0'
# who runs it (above timeout) is killed: no result is a failure
script lost <<<'kill -KILL $(ps -o ppid= -p $PPID); exit 0'
code=0
(cd "$tree" && tests/run >"$SCRATCH/out") || code=$?
out=$(cat "$SCRATCH/out")
assert_eq "$code" 1
# 1 + 5 of check_x pass; bad, slow, untidy, daemon, lost, check_x, check_y do
# not
assert_eq "$(tail -n1 <<<"$out")" "6 passed, 7 failed, 1 skipped"
grep -qx '  api/lost' <<<"$out" || fail "a test without a result is not named"
assert_contains "$out" "| something went wrong"
assert_contains "$out" "not done after 1 s" # that tree is built plainly
assert_contains "$out" "left a process behind"
assert_contains "$out" "unit/check_y is not built"
[ -z "$(pgrep -f "$tree" || true)" ] || fail "something still runs"

if [ "$(id -u)" -eq 0 ]; then
    # shellcheck disable=SC2016
    script mounter <<<'mkdir $TMPDIR/m && mount -t tmpfs none $TMPDIR/m'
    (cd "$tree" && tests/run mounter >"$SCRATCH/out") && fail "not noticed"
    assert_contains "$(cat "$SCRATCH/out")" "left a mount behind"
fi

# told to end it takes down what runs
# shellcheck disable=SC2016
script lasting <<<'mkdir $TMPDIR/m && : >$TMPDIR/m/here
[ $(id -u) -ne 0 ] || mount -t tmpfs none $TMPDIR/m
echo $TMPDIR >"$LASTING" && exec sleep 100'
for sig in TERM HUP; do
    rm -f "$SCRATCH/lasting"
    start runner env LASTING="$SCRATCH/lasting" bash -c "cd '$tree' && exec tests/run lasting"
    wait_until 20 test -s "$SCRATCH/lasting"
    signal_ours "$sig" "$PID"
    wait_until 60 gone "$PID"
    [ ! -e "$(cat "$SCRATCH/lasting")" ] || fail "$sig: its directory stays"
    [ -z "$(mounts_below "$SCRATCH")" ] || fail "$sig: its mount stays"
    [ -z "$(pgrep -f "$tree" || true)" ] || fail "$sig: something still runs"
done

code=0
(cd "$tree" && tests/run nonesuch >"$SCRATCH/out" 2>&1) || code=$?
assert_eq "$code" 2 "exit code for an unknown test"
