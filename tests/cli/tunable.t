#!/usr/bin/env bash
# A threshold becomes an option by one word of its row, and by nothing else.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

nowhere='qemu+unix:///system?socket=/nonexistent/socket'
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT
cp -r Makefile vmbal.[ch] lib policy host report loop tests man "$copy"
sed -i -E 's/(ROW\(double, (start_points|migration_cost), .*)FIXED/\1OPTION/' "$copy/policy/cpu_tunables.h"
sed -i -E 's/(ROW\(double, rescue_kib, .*)FIXED/\1OPTION/' "$copy/policy/mem_tunables.h"
# Locks of its own: other tests run loops on this connection, too.
mkdir -m 700 "$copy/run" && export RUNTIME_DIRECTORY=$copy/run
make -s -C "$copy" CFLAGS=-O0 build/vmbal >"$copy/log" 2>&1
holds "it compiles" "$(cat "$copy/log")" test -x "$copy/build/vmbal"

said() { "$copy/build/vmbal" "$@" 2>&1 </dev/null; }
holds "--help shows it, with its default" "" \
	grep -qE -- '--start-points NUMBER' <<<"$(said --help)"
holds "it is set, and told at start" "" grep -q 'start-points 7 points' \
	<<<"$(said --start-points 7 -c "$nowhere" --once cpu 1)"
holds "a share may be in percent" "" grep -q 'migration-cost 35 %' \
	<<<"$(said --migration-cost 35% -c "$nowhere" --once cpu 1)"
holds "a size may have its unit" "" grep -q 'rescue-kib 128 MiB' \
	<<<"$(said --rescue-kib 128MiB -c "$nowhere" --once mem 1)"
holds "the default is not told" "" test -z "$(said -c "$nowhere" --once cpu 1 | grep start-points)"
for bad in 0 101 x ''; do
	holds "'$bad' is refused, with the range" "" \
		grep -q -- "--start-points '$bad': must be from 0.1 points to 100 points" \
		<<<"$(said --start-points "$bad" cpu 1)"
done
plan
