#!/bin/bash
# timeout: 600
# The contract suite against git on a server: with filters, without, by
# protocol version 0, and through the git program
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires git python3
check=$SCORPIO_BUILD/scorpio-check-backend
[ -x "$check" ] || skip "$check is not built"

work=$SCRATCH/work
mkdir -p "$work/sub/deep"
printf '#!/bin/sh\n' >"$work/run"
chmod 755 "$work/run"
: >"$work/nothing"
head -c 300000 /dev/urandom >"$work/sub/large"
printf 'odd\n' >"$work/sub/$(printf 'new\nline \377 x')"
ln -s nothing "$work/link"
for i in $(seq 300); do echo "$i" >"$work/sub/deep/n$i"; done
git -C "$work" init -q -b main
git -C "$work" add -A
git -C "$work" commit -q -m one
git clone -q --bare "$work" "$SCRATCH/yes.git"
git clone -q --bare "$work" "$SCRATCH/no.git"
git -C "$SCRATCH/yes.git" config uploadpack.allowFilter true

start server python3 "$TESTLIB/git_http_server.py" "$SCRATCH"
wait_until 20 test -s "$SCRATCH/server.log"
url=http://127.0.0.1:$(head -n1 "$SCRATCH/server.log")

cat >"$SCRATCH/ssh" <<'END'
#!/bin/sh
# in place of ssh: the last argument is the command for the other side
for last; do :; done
GIT_PROTOCOL=version=2
export GIT_PROTOCOL
eval "$last"
END
chmod 755 "$SCRATCH/ssh"

for source in "$url/yes.git" "git+$url/no.git" "$url/v0/no.git" \
    "git+ssh://host$SCRATCH/yes.git"; do
    out=$SCRATCH/out
    timeout $((250 * SLOW)) "$check" --scratch "$SCRATCH/scratch" \
        --config "ssh_command=$SCRATCH/ssh" "$source" >"$out" 2>&1 || {
        cat "$out"
        fail "the contract: $source"
    }
    tail -n1 "$out"
done
