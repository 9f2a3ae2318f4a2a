#!/usr/bin/env bash
# vmbal mem on real guests: the cases of the public course suite.  Four guests of at most 2 GiB
# start at 512 MiB; a lab host of 4 GiB leaves room for some of them to grow, not for all.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start=512
budget=4096

begin 4 --max 2048 --start $start

# 1: one grows and frees, the others idle.
run_case mem 5
$lab load 1 mem 550@20 hold:10 0@100 >/dev/null
sleep 48
peak=$(awk '$1 == "mem" && $3 == "vmbal-lab-1" && $4 > m { m = $4 } END { printf "%d", m / 1024 }' "$work/tsv")
within "one grows: it gained memory, MiB" "$peak" 800 2048
others=$(($(actual 2) + $(actual 3) + $(actual 4)))
safe "one grows" "$began"
end_case "one grows"
within "one grows: it gave back, MiB" "$(actual 1)" 0 $((peak * 2 / 3))
within "one grows: the idle ones gave, MiB together" "$others" 0 $((3 * start - 60))

# 2: all grow, all free.
run_case mem 5
$lab load all mem 420@8 hold:25 0@100 >/dev/null
sleep 72
for g in 1 2 3 4; do
	grown[g]=$(awk -v g="$(guest $g)" -v from="$began" \
		'$1 == "mem" && $3 == g && $2 > from && $4 > m { m = $4 } END { printf "%d", m / 1024 }' "$work/tsv")
	within "all grow: guest $g grew, MiB" "${grown[g]}" 600 2048
done
safe "all grow" "$began"
end_case "all grow"
for g in 1 2 3 4; do
	within "all grow: guest $g is like guest 1 again, MiB" "$(actual $g)" \
		$(($(actual 1) * 85 / 100)) $(($(actual 1) * 115 / 100))
	within "all grow: guest $g gave back, MiB" "$(actual $g)" 0 $((grown[g] * 4 / 5))
done

# 3: two free while two go on growing.
run_case mem 5
$lab load 1 mem 400@20 hold:15 0@100 >/dev/null
$lab load 2 mem 400@20 hold:15 0@100 >/dev/null
$lab load 3 mem 800@12 >/dev/null
$lab load 4 mem 800@12 >/dev/null
sleep 95
for g in 1 2; do
	within "two free, two grow: guest $g gave, MiB" "$(actual $g)" 0 $start
done
for g in 3 4; do
	within "two free, two grow: guest $g got, MiB" "$(actual $g)" 950 2048
done
safe "two free, two grow" "$began"
end_case "two free, two grow"
free_all
sleep 10

plan
