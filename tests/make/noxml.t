#!/usr/bin/env bash
# The command line of a build without libxml2 is the same: the tests of it, with that build.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cp -r contrib man "$work"
mkdir -p "$work/tests" "$work/build/tests"
cp -r tests/cli tests/tap.sh "$work/tests"
cp -r build/tests/cli "$work/build/tests"
cp -r lib policy host report loop "$work"
for name in vmbal vcpu_scheduler memory_coordinator; do
	cp build/noxml/vmbal "$work/$name"
done
holds "-V says so" "$("$work/vmbal" -V)" grep -q '^without libxml2: .*left alone' <("$work/vmbal" -V)

for t in usage service; do
	out=$(PROGRAM=./vmbal "$work/tests/cli/$t.t" 2>&1)
	status=$?
	holds "$t: $(grep -c '^ok' <<<"$out") of $(grep -oE '^1\.\.[0-9]+' <<<"$out" | cut -c4-)" \
		"$(grep -A5 '^not ok' <<<"$out")" \
		test $status -eq 0 -a "$(grep -c '^not ok' <<<"$out")" -eq 0 -a "$(grep -c '^1\.\.' <<<"$out")" -eq 1
done
plan
