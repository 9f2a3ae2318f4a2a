#!/usr/bin/env bash
# An arrow that goes up between two rooms is seen, by #include and by symbol.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/tests"
cp -r lib policy host report loop "$work"
cp tests/rooms "$work/tests"

# rooms: what is said of the copy, with the objects of this build.
rooms() {
	"$work/tests/rooms" "$PWD/build"
}

out=$(rooms)
ok $? "all arrows go down" "$out"

# seen NAME FILE LINE TEXT: with that line in that file TEXT is said.
seen() {
	cp "$work/$2" "$work/saved"
	echo "$3" >>"$work/$2"
	out=$(rooms)
	holds "$1" "$out" test $? -ne 0 -a "$(grep -cF "$4" <<<"$out")" -eq 1
	cp "$work/saved" "$work/$2"
}
seen "policy/ does not know host/" policy/need.c '#include "host/log.h"' "policy/need.c includes host/log.h"
seen "a header neither" lib/cpuset.h '#include "policy/mem.h"' "lib/cpuset.h includes policy/mem.h"
seen "what is in no room is no header" host/log.c '#include "vmbal.h"' "host/log.c includes vmbal.h"

mkdir "$work/build"
cp -r build/lib build/policy build/host build/report build/loop "$work/build"
echo 'void log_init(int); void reach(void); void reach(void) { log_init(0); }' |
	cc -x c -c -o "$work/build/policy/need.o" -
out=$("$work/tests/rooms" "$work/build")
holds "nor by a declaration of its own" "$out" test $? -ne 0 -a "$(grep -cF 'policy needs host/: log_init' <<<"$out")" -eq 1
plan
