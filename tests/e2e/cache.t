#!/usr/bin/env bash
# A guest's page cache is worth something: on a host that is well what is free is taken, caches are
# not; when somebody lacks memory, they are.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

budget=2400

asked() { # GUEST FIGURE: what the guest itself says, MiB
	$lab ask "$1" | tr ' ' '\n' | sed -n "s/^$2=//p"
}

begin 2 --max 1024 --start 900
$lab load 1 mem 60@100 read:300 >/dev/null
sleep 6
within "the first guest has filled its cache, MiB" "$(asked 1 read_mib)" 270 310
run_case mem 2

wait_size 1 at-most 650 90
ok $? "what it leaves free is taken, MiB ($(actual 1))" "$(show_log)"
sleep 20
within "its cache is left to it, MiB" "$(asked 1 read_mib)" 270 310
within "... and something free, MiB" "$(asked 1 free_mib)" 100 200
wait_size 2 at-most 450 60
ok $? "without a cache more is taken, MiB ($(actual 2))" "$(show_log)"
within "... but no guest gets below the minimum, MiB" "$(actual 2)" 200 450
stop_vmbal

# Less memory for both: the cache goes.
budget=1400
run_case mem 2
$lab load 2 mem 480@25 >/dev/null
wait_size 2 at-least 640 60
ok $? "the second guest gets what it needs, MiB ($(actual 2))" "$(show_log)"
within "... from the first one's cache, MiB left" "$(asked 1 read_mib)" 0 240
within "... which keeps room, MiB" "$(asked 1 available_mib)" 64 400
stop_vmbal
holds "ended by SIGTERM with 0" "$(show_log)" test "$stopped" -eq 0
nobody_died
plan
