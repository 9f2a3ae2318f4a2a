#!/usr/bin/env bash
# vmbal mem on real guests: the cases of the public course suite, and demand beyond the host.
# Four guests of at most 2 GiB start at 512 MiB; a lab host of 4 GiB leaves room for some of them
# to grow, not for all.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start=512
budget=4096

begin 4 --max 2048 --start $start

most() { # GUEST: the largest size since the case began, MiB
	awk -v g="$(guest "$1")" -v from="$began" \
		'$1 == "mem" && $3 == g && $2 > from && $4 > m { m = $4 } END { printf "%d", m / 1024 }' "$work/tsv"
}

run_case mem 5

# 1: one grows by 40 MiB/s and frees, the others idle.
$lab load 1 mem 700@40 hold:5 0@100 >/dev/null
sleep 24
others=$(($(actual 2) + $(actual 3) + $(actual 4)))
within "one grows: the idle ones gave, MiB together" "$others" 0 $((3 * start - 60))
peak=$(most 1)
within "one grows: it gained memory, MiB" "$peak" 900 2048
wait_size 1 at-most $((peak * 3 / 4)) 120
ok $? "one grows: it gave back, MiB ($(actual 1) of $peak)" "$(show_log)"
safe "one grows"

# 2: all grow by 8 MiB/s.
$lab load all mem 320@8 >/dev/null
sleep 44
for g in 1 2 3 4; do
	within "all grow: guest $g has all it asked for, usable MiB" "$(last 5 "$(guest $g)")" 100 2048
done
for g in 3 4; do
	within "all grow: guest $g is like guest 2, MiB" "$(actual $g)" \
		$(($(actual 2) * 85 / 100)) $(($(actual 2) * 115 / 100))
done
safe "all grow"

# 3: two free while two go on growing.
before=$(($(actual 1) + $(actual 2)))
$lab load 1 mem 0@100 >/dev/null
$lab load 2 mem 0@100 >/dev/null
$lab load 3 mem 700@20 hold:5 0@100 >/dev/null
$lab load 4 mem 700@20 hold:5 0@100 >/dev/null
sleep 24
for g in 3 4; do
	within "two free, two grow: guest $g got, MiB" "$(most $g)" 900 2048
done
wait_size 1 at-most $start 60 && wait_size 2 at-most $start 60
ok $? "two free, two grow: two gave, MiB ($(($(actual 1) + $(actual 2))) of $before)" "$(show_log)"

# All have freed: all give back, and are small again.
wait_size 3 at-most $(($(most 3) * 2 / 3)) 120
safe "all free"
end_case "all free"
for g in 1 2 3 4; do
	within "all free: guest $g holds what an idle guest needs, MiB" "$(actual $g)" 240 $start
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
