#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# npm install from local archives in a workspace, without a network
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/posix.sh"
requires npm node
small_mount
export npm_config_cache=$SCRATCH/npm npm_config_offline=true \
    npm_config_audit=false npm_config_fund=false \
    npm_config_update_notifier=false npm_config_progress=false

# two packages, one with 600 files and a program, one that needs it
mkdir -p "$SCRATCH/pkg/lib" "$SCRATCH/app"
for i in {1..600}; do
    echo "module.exports = $i;" >"$SCRATCH/pkg/lib/m$i.js"
done
printf '#!/usr/bin/env node\nconsole.log("total", require("..").total);\n' \
    >"$SCRATCH/pkg/cli.js"
cat >"$SCRATCH/pkg/index.js" <<'END'
let total = 0;
for (let i = 1; i <= 600; i++) total += require(`./lib/m${i}.js`);
exports.total = total;
END
sed -i 's/require("..")/require("adder")/' "$SCRATCH/pkg/cli.js"
echo '{"name":"adder","version":"1.0.0","bin":{"adder":"cli.js"}}' \
    >"$SCRATCH/pkg/package.json"
(cd "$SCRATCH" && npm pack -s ./pkg >/dev/null)
mkdir "$M/app"
echo '{"name":"app","version":"1.0.0"}' >"$M/app/package.json"
cd "$M/app"
within 100 npm install -s "$SCRATCH/adder-1.0.0.tgz"
assert_eq "$(node -e 'console.log(require("adder").total)')" 180300
assert_eq "$(node_modules/.bin/adder)" "total 180300"
[ -e package-lock.json ] || fail "no lock file"
assert_eq "$(find node_modules/adder -type f | wc -l)" 603
# once more from the lock file
within 100 npm ci -s
assert_eq "$(node_modules/.bin/adder)" "total 180300" "after npm ci"
cd "$SCRATCH"
rw_remount "$REPO" "$M"
assert_eq "$(cd "$M/app" && node_modules/.bin/adder)" "total 180300" \
    "after a new mount"
(cd "$M/app" && within 100 npm uninstall -s adder)
[ ! -e "$M/app/node_modules/adder" ] || fail "npm uninstall left it"
