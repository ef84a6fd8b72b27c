#!/bin/bash
# timeout: 300
# The contract suite notices each breach of the rules: a backend that keeps to
# all of them passes, the same with one breach fails the case meant for it
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires gcc
check=$SCORPIO_BUILD/scorpio-check-backend
[ -x "$check" ] || skip "$check is not built"
case $SCORPIO_BUILD in */asan | */tsan) skip "the release build shows it" ;; esac

build() { # BREACH
    gcc -std=gnu11 -O1 -shared -fPIC -D_GNU_SOURCE -DBREACH="$1" \
        -I"$SCORPIO_SRC/include" "$SCORPIO_SRC/tests/contract/assets/broken.c" \
        -o "$SCRATCH/$1.so"
}

n=0
breach() { # BREACH CASE - it must fail that case
    local out
    build "$1"
    if out=$(timeout 100 "$check" "$SCRATCH/$1.so" broken+x 2>&1); then
        fail "nobody noticed: $1"$'\n'"$out"
    fi
    grep -Eq "^$2 +FAIL|^$2: FAIL" <<<"$out" ||
        fail "$1 did not fail $2:"$'\n'"$(grep FAIL <<<"$out")"
    n=$((n + 1))
}

build none
"$check" "$SCRATCH/none.so" broken+x >"$SCRATCH/none.out" ||
    fail "an honest backend fails: $(cat "$SCRATCH/none.out")"
breach slow_open open-quick
breach leaks_file open-close-many
breach close_null close-null
breach global_state open-twice
breach bad_root_id resolve-answer
breach forgets_text resolve-again
breach missing_is_eio resolve-unknown
breach enoent_if_cancelled resolve-cancelled
breach entry_outside list-root
breach bad_name list-walk
breach double_name list-root
breach bad_mode list-root
breach id_tail list-walk
breach changes list-again
breach one_spoils_all list-mixed
breach forgets list-missing
breach swallows_stop list-stop-begin
breach goes_on list-stop-entry
breach late list-after-return
breach shared_ids ids-unique
breach sizes_unknown sizes-free
breach wrong_size fetch-sizes
breach size_lie fetch-sizes
breach nested fetch-batch
breach unfinished fetch-batch
breach positive fetch-batch
breach other_thread fetch-batch
breach wrong_content fetch-again
breach pours_missing fetch-missing
note "$n breaches noticed"
