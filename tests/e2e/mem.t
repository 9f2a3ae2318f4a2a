#!/usr/bin/env bash
# vmbal mem on real guests: the cases of the public course suite, and demand beyond the host.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

begin "$mem_guests" --max "$mem_max" --start "$mem_start"

most() { # GUEST: the largest size since the case began, MiB
	awk -v g="$(guest "$1")" -v from="$began" \
		'$1 == "mem" && $3 == g && $2 > from && $4 > m { m = $4 } END { printf "%d", m / 1024 }' "$work/tsv"
}

run_case mem 5

mem_stage 1 1
others=$(($(actual 2) + $(actual 3) + $(actual 4)))
within "one grows: the idle ones gave, MiB together" "$others" 0 $((3 * mem_start - 60))
peak=$(most 1)
within "one grows: it gained memory, MiB" "$peak" 900 2048
wait_size 1 at-most $((peak * 3 / 4)) 120
ok $? "one grows: it gave back, MiB ($(actual 1) of $peak)" "$(show_log)"
safe "one grows"

mem_stage 2 1 # and of 3
for g in 1 2 3 4; do
	within "all grow: guest $g has all it asked for, usable MiB" "$(last 5 "$(guest $g)")" 100 2048
done
# Who grew in larger steps was given more; once demands have been flat for a minute all get the same.
equal() {
	local g
	for g in 3 4; do
		[ "$(actual $g)" -ge $(($(actual 2) * 95 / 100)) ] &&
			[ "$(actual $g)" -le $(($(actual 2) * 105 / 100)) ] || return 1
	done
}
for _ in $(seq 150); do
	! equal || break
	sleep 1
done
equal
ok $? "all grow: guests 2, 3 and 4 end equal, MiB ($(actual 2), $(actual 3), $(actual 4))" "$(show_log)"
safe "all grow"

before=$(($(actual 1) + $(actual 2)))
mem_stage 3 2
for g in 3 4; do
	within "two free, two grow: guest $g got, MiB" "$(most $g)" 900 2048
done
wait_size 1 at-most $mem_start 60 && wait_size 2 at-most $mem_start 60
ok $? "two free, two grow: two gave, MiB ($(($(actual 1) + $(actual 2))) of $before)" "$(show_log)"

# All have freed: all give back, and are small again.
wait_size 3 at-most $(($(most 3) * 2 / 3)) 120
safe "all free"
end_case "all free"
for g in 1 2 3 4; do
	within "all free: guest $g holds what an idle guest needs, MiB" "$(actual $g)" 240 $mem_start
done

# 4: more than the host has: nobody dies, the reserve holds, the shortfall is told.
budget=2816
run_case mem 2
$lab load all mem leave:64 700@20 >/dev/null
sleep 45
within "beyond the host: host memory left, MiB" "$(host_left "$began" "$(now)")" 200 "$budget"
holds "beyond the host: the shortfall is told" "$(show_log)" grep -qE 'shortfall [1-9]' "$work/log"
nobody_died
end_case "beyond the host"
plan
