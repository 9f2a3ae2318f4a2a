#!/usr/bin/env bash
# vmbal mem on real guests: the cases of the public course suite and two harder ones.  Four
# guests of at most 2 GiB start at 512 MiB on a lab host of a few GiB.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start=512
budget=4096  # MiB for guests and reserve: four guests of 512 leave room for one to grow
reserve=200  # MiB the host keeps, whatever happens
usable=100   # MiB that every guest keeps

begin 4 --max 2048 --start $start

guest() { echo "vmbal-lab-$1"; }
actual() { last 4 "$(guest "$1")"; }

# wait_settled SECONDS: until no guest's size has moved for that long; 240 s at most.
wait_settled() {
	local _
	for _ in $(seq 240); do
		sleep 1
		[ "$(balloon_changes $(($(now) - $1)) "$(now)")" -gt 0 ] || return 0
	done
	return 1
}

# safe NAME FROM: from then on no guest was short and the host kept its reserve.
safe() {
	local g
	for g in 1 2 3 4; do
		within "$1: least usable in guest $g, MiB" "$(least 5 "$2" "$(now)" "$(guest $g)")" $usable 2048
	done
	within "$1: host memory left, MiB" $((budget - $(most_rss "$2" "$(now)"))) $reserve $budget
	nobody_died
}

free_all() {
	$lab load all mem 0@200 >/dev/null
}

run_case() { # VMBAL-ARGUMENTS...
	start_vmbal -m $budget "$@"
	sleep 10
	began=$(now)
}

end_case() { # NAME: to be quiet once all is settled
	local calm
	holds "$1: settles" "$(show_log)" wait_settled 12
	calm=$(now)
	sleep 15
	within "$1: balloon changes once settled" "$(balloon_changes "$calm" "$(now)")" 0 0
	stop_vmbal
	holds "$1: ended by SIGTERM with 0" "" test "$stopped" -eq 0
	[ "$(balloon_changes "$calm" "$(now)")" -eq 0 ] || show_log
}

# 1: one grows and frees, the others idle.
run_case mem 5
$lab load 1 mem 900@20 hold:10 0@100 >/dev/null
sleep 60
peak=$(awk '$1 == "mem" && $3 == "vmbal-lab-1" && $4 > m { m = $4 } END { printf "%d", m / 1024 }' "$work/tsv")
within "one grows: it gained memory, MiB" "$peak" 1000 2048
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

# 4: 40 MiB/s at an interval of 5 s.
run_case mem 5
$lab load 2 mem 1200@40 >/dev/null
sleep 45
within "40 MiB/s: it got, MiB" "$(actual 2)" 1300 2048
safe "40 MiB/s" "$began"
end_case "40 MiB/s"
free_all
sleep 10

# 5: more than the host has: nobody dies, the reserve holds, the shortfall is told.
budget=2816
run_case mem 2
$lab load all mem leave:64 700@15 >/dev/null
sleep 60
within "beyond the host: host memory left, MiB" $((budget - $(most_rss "$began" "$(now)"))) $reserve $budget
holds "beyond the host: the shortfall is told" "$(show_log)" grep -qE 'shortfall [1-9]' "$work/log"
nobody_died
end_case "beyond the host"
plan
