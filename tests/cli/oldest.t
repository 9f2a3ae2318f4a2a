#!/usr/bin/env bash
# The oldest libvirt that vmbal compiles with and runs on is Ubuntu 20.04's: nothing it calls, and
# no constant it names, is newer.  What is told only by newer ones is asked for by name, as text.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

oldest=6.0.0

# newer: of lines "VERSION NAME", those above the oldest.
newer() {
	sort -V | awk -v oldest=$oldest '
		function number(s, part) { split(s, part, "."); return part[1] * 1e6 + part[2] * 1e3 + part[3] }
		number($1) > number(oldest)'
}

holds "a newer one would be found" "" \
	test "$(printf '%s\n' '6.0.0 a' '0.9.13 b' '6.1.0 c' '10.0.0 d' | newer | tr '\n' ' ')" = '6.1.0 c 10.0.0 d '

symbols=$(nm -D "$program" | sed -nE 's/.* (vir[A-Za-z]+)@+LIBVIRT_([0-9.]+)$/\2 \1/p')
holds "symbols of libvirt are found" "$symbols" test "$(wc -l <<<"$symbols")" -ge 40
holds "no symbol is newer than libvirt $oldest" "$(newer <<<"$symbols")" test -z "$(newer <<<"$symbols")"

# Since libvirt 8 the headers tell of each constant since when there is one: in a comment beside
# those of an enum, and before the others.
since() {
	awk '
		/Since: / { match($0, /Since: [0-9.]+/); told = substr($0, RSTART + 7, RLENGTH - 7) }
		/^# *define VIR_/ { sub(/^# *define /, ""); sub(/[^A-Z0-9_].*/, ""); print told, $0 }
		/^ +VIR_[A-Z0-9_]+/ { name = $1; sub(/[^A-Z0-9_].*/, "", name) }
		name && /Since: / { print told, name; name = "" }' "$@"
}
known=$(since "$(pkg-config --variable=includedir libvirt 2>/dev/null || echo /usr/include)"/libvirt/*.h)
if [ "$(wc -l <<<"$known")" -lt 1000 ]; then
	ok 0 "constants # SKIP these headers do not tell since when they are there"
else
	named=$(grep -ohE '\bVIR_[A-Z_0-9]+' host/*.[ch] | sort -u)
	dated=$(awk 'NR == FNR { wanted[$1]; next } $2 in wanted' <(echo "$named") - <<<"$known")
	holds "constants are found" "$(grep -vxFf <(cut -d' ' -f2 <<<"$dated") <<<"$named")" \
		test "$(wc -l <<<"$dated")" -ge 40
	holds "no constant is newer" "$(newer <<<"$dated")" test -z "$(newer <<<"$dated")"
fi
plan
