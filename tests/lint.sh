#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 400
#
# lint.sh [--full] - the rules of docs/conventions.md that a program can check.
# Prints each offender as file:line: rule; exit 1 if there is one. --full adds
# the slower static analysis (cppcheck).
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
out=$(mktemp) || exit 1
trap 'rm -f "$out" "$out.list"' EXIT

mapfile -t all < <(git ls-files -co --exclude-standard 2>/dev/null |
    while read -r f; do [ -f "$f" ] && echo "$f"; done)
if [ ${#all[@]} -eq 0 ]; then
    mapfile -t all < <(find . -name build -prune -o -type f -printf '%P\n')
fi
code=()
scripts=()
text=()
for f in "${all[@]}"; do
    case $f in
    */corpus/* | */assets/* | LICENSE) continue ;;
    *.c | *.h | *.cc) code+=("$f") ;;
    *.sh) scripts+=("$f") ;;
    *.py) text+=("$f") ;;
    *) grep -aqE '^#!/bin/(ba)?sh' "$f" && scripts+=("$f") ;;
    esac
done

# -- includes: the arrows of docs/architecture.md --------------------------------
awk '
function dir(p) { sub(/\/[^\/]*$/, "", p); return p }
function top(p) { sub(/\/.*/, "", p); return p }
BEGIN {
    may["core"] = "core"
    may["cache"] = "core cache"
    may["fs"] = "core cache fs"
    may["api"] = "core cache fs api plugins backends tests"
    may["tests"] = "core cache fs api plugins backends tests"
    may["plugins"] = "core plugins"
    may["include"] = ""
    may["backends"] = ""
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, part, "\"")
    name = part[2]
    where = FILENAME ":" FNR ": "
    if (name ~ /\.\.\//)
        print where "include by ../"
    from = top(FILENAME)
    if (name !~ /\//) {
        # a neighbour; only where the root is not on the include path
        if (FILENAME !~ /^(backends|plugins)\/[^\/]*\//)
            print where "include by path from the root: " name
        next
    }
    to = top(name)
    if (FILENAME ~ /^(backends|plugins)\/[^\/]*\// &&
        dir(name) != dir(FILENAME))
        print where from " may include only <scorpio/...>: " name
    else if (FILENAME !~ /^(backends|plugins)\/[^\/]*\// &&
             index(" " may[from] " ", " " to " ") == 0)
        print where from " must not include " name
}
/^[ \t]*#[ \t]*include[ \t]*</ && /\.\.\// { print FILENAME ":" FNR ": include by ../" }
' "${code[@]}" >>"$out"

# -- sizes, first lines, banned words and functions --------------------------------
words='\<(TO''DO|FIX''ME|X''XX)\>'
awk '
function width(s,   n, i, c) { # columns, tabs of 8; UTF-8 tails are free
    n = 0
    for (i = 1; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (c == "\t") n += 8 - n % 8
        else if (c < "\200" || c > "\277") n++
    }
    return n
}
BEGIN {
    banned = "strcpy|strcat|strncpy|sprintf|vsprintf|strtok|alloca|gmtime|"
    banned = banned "localtime|ctime|mktemp|gets"
    shell = "(^|[^a-zA-Z0-9_.>])(system|popen)\\("
    banned = "(^|[^a-zA-Z0-9_.>])(" banned ")\\("
}
function done(file, lines) {
    if (lines > 600) print file ":" lines ": more than 600 lines"
}
FNR == 1 {
    if (last != "") done(last, lines)
    last = FILENAME
    start = 0
    if ($0 !~ /^\/\* SPDX-License-Identifier: Apache-2.0 \*\/$/)
        print FILENAME ":1: no SPDX line"
}
{ lines = FNR }
/^\{$/ { start = FNR }
/^\}/ {
    if (start && FNR - start - 1 > 60)
        print FILENAME ":" start ": function of " FNR - start - 1 " lines"
    start = 0
}
length($0) > 60 && width($0) > 100 { print FILENAME ":" FNR ": line over 100" }
/[ \t]$/ { print FILENAME ":" FNR ": blanks at the end" }
/^[ \t]*\/\// { print FILENAME ":" FNR ": comment by //" }
$0 ~ banned || (FILENAME !~ /^tests\// && $0 ~ shell) {
    print FILENAME ":" FNR ": banned function"
}
END { if (last != "") done(last, lines) }
' "${code[@]}" >>"$out"

for f in "${scripts[@]}" "${text[@]}"; do
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
        case $f in
        tests/*.sh) ;; # a test's first lines say what it shows
        *) echo "$f:1: no SPDX line" ;;
        esac
    awk -v f="$f" 'END { if (NR > 600) print f ":" NR ": more than 600 lines" }
        length($0) > 100 { print f ":" NR ": line over 100" }' "$f"
done >>"$out"

grep -InE "$words" "${all[@]}" 2>/dev/null | sed 's/$/   (unfinished work)/' \
    >>"$out"

# -- waits without a time: only where docs/limits.md says who ends them --------------
endless=(core/clock.c core/pool.c core/spawn.c cache/alarm.c cache/source.c fs/crawl.c
    fs/delta.c fs/known.c fs/keeper_main.c fs/mount.c fs/mounter.c fs/notify.c fs/session.c
    fs/wal.c api/gitwork/ipc.c backends/lfs/many.c backends/nix/ahead.c plugins/nixcache/pull.c
    plugins/monogate/objects.c plugins/monogate/relay.c)
waits='pthread_cond_wait\(|wait[a-z_]*\(.*DEADLINE_NONE|(poll|_wait)\(.*, -1\)'
waits+='|waitpid\(.*, 0\)|LOCK_(EX|SH)\)|F_(OFD_)?SETLKW'
grep -InE "$waits" "${code[@]}" | grep -vE '^(tests|api/cli)/' |
    grep -vE "^($(IFS='|'; echo "${endless[*]}")):" |
    sed 's/$/   (a wait without a time)/' >>"$out"

# -- scripts, public headers, analysis ----------------------------------------------
# Only scripts that changed since shellcheck had nothing to say about them, and on
# every core: it takes most of this check's time.
if command -v shellcheck >/dev/null; then
    changed=()
    for f in "${scripts[@]}"; do
        ok=build/lint/$f.ok
        [ "$ok" -nt "$f" ] && [ "$ok" -nt tests/lint.sh ] || changed+=("$f")
    done
    if [ ${#changed[@]} -gt 0 ] &&
        printf '%s\0' "${changed[@]}" | xargs -0 -n 8 -P "$(nproc)" shellcheck -x \
            -f gcc -e SC1091,SC2015,SC2016,SC2129,SC2153,SC2317 >>"$out"; then
        for f in "${changed[@]}"; do
            mkdir -p "build/lint/${f%/*}" && touch "build/lint/$f.ok"
        done
    fi
else
    echo "note: no shellcheck here"
fi
if command -v "${CC:-cc}" >/dev/null; then
    make -s --no-print-directory headers >>"$out" 2>&1 ||
        echo "include/scorpio: a public header does not compile alone" >>"$out"
fi
for f in tests/*/*.sh; do
    case $f in tests/lib/* | */lib.sh) continue ;; esac
    [ -e "$f" ] && ! grep -q 'pipefail' "$f" &&
        echo "$f:1: no set -euo pipefail"
done >>"$out"
if [ "${1:-}" = --full ]; then
    if command -v cppcheck >/dev/null; then
        printf '%s\n' "${code[@]}" | grep '\.c$' >"$out.list"
        cppcheck -q -j2 --std=c11 --inline-suppr \
            --enable=warning,portability --suppress=missingIncludeSystem \
            --suppress=normalCheckLevelMaxBranches -I. -Iinclude \
            --suppress=unknownMacro:tests/unit/check_nix.c \
            '-Djson_array_foreach(a,i,v)=while((v=json_next(a,&i)))' \
            '-Djson_object_foreach(o,k,v)=while((v=json_next(o,&k)))' \
            --template='{file}:{line}: {message} ({id})' \
            --file-list="$out.list" 2>>"$out"
    else
        echo "note: no cppcheck here"
    fi
fi

if [ -s "$out" ]; then
    cat "$out"
    echo "$(wc -l <"$out") findings"
    exit 1
fi
echo "${#code[@]} C files and ${#scripts[@]} scripts: nothing to say"
