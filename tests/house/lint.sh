#!/bin/bash
# tests/lint.sh finds each kind of offence, and nothing in a clean file
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"

tree=$SCRATCH/tree
mkdir -p "$tree"/{tests,core,cache,fs,backends/x,include/scorpio}
cp "$SCORPIO_SRC/tests/lint.sh" "$tree/tests/"
cd "$tree"
printf 'headers:\n' >Makefile
spdx='/* SPDX-License-Identifier: Apache-2.0 */'

c() { # FILE: body from stdin
    { echo "$spdx"; cat; } >"$1"
}

c core/good.c <<<'#include "core/good.h"'
c cache/good.c <<<'#include "core/good.h"'
c backends/x/good.c <<<'#include <scorpio/backend.h>'
tests/lint.sh >out 2>&1 || fail "complains about clean files: $(cat out)"

c core/up.c <<<'#include "cache/store.h"'
c fs/side.c <<<'#include "api/http/server.h"'
c backends/x/host.c <<<'#include "core/buf.h"'
c fs/dots.c <<<'#include "../core/buf.h"'
c fs/words.c <<<"/* TO""DO: later */"
c fs/call.c <<<'int x = sprintf(buf, "%d", 1);'
c fs/wide.c <<<"int wide; /* $(printf 'x%.0s' {1..100}) */"
{ echo 'void f(void)'; echo '{'; printf '\tf();\n%.0s' {1..61}; echo '}'; } |
    c fs/long.c
{ printf '/* */\n%.0s' {1..600}; } | c fs/huge.c
echo 'int x;' >fs/nospdx.c
# shellcheck disable=SC2016
printf '#!/bin/bash\nset -euo pipefail\nrm $1/x\n' >tests/quote.sh
assert_fails tests/lint.sh
for offence in 'core/up.c:2: core must not include cache/store.h' \
    'fs/side.c:2: fs must not include api/http/server.h' \
    'backends/x/host.c:2: backends may include only' \
    'fs/dots.c:2: include by ../' 'fs/words.c:2:' \
    'fs/call.c:2: banned function' 'fs/wide.c:2: line over 100' \
    'fs/long.c:3: function of 61 lines' 'fs/huge.c:601: more than 600' \
    'fs/nospdx.c:1: no SPDX'; do
    assert_contains "$OUTPUT" "$offence"
done
command -v shellcheck >/dev/null || exit 0
assert_contains "$OUTPUT" 'tests/quote.sh:3'
