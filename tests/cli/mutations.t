#!/usr/bin/env bash
# What `make check-all` leaves out of the sources, to see a test fail, is still there to leave out.
# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
cd "$(dirname "$0")/../.." || exit 1

for script in tests/mutate/*.t; do
	out=$("$script" -n)
	holds "$script: each mutation changes something" "$(grep -A1 '^not ok' <<<"$out")" \
		test "$(grep -c '^not ok' <<<"$out") $(grep -c '^1\.\.' <<<"$out")" = "0 1"
done
plan
