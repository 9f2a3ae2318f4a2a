#!/usr/bin/env bash
# One guest's QEMU is stopped: the others are watched on, the log names it, and then all is as before.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

stopped_qemu=
wake() {
	[ -z "$stopped_qemu" ] || kill -CONT "$stopped_qemu" 2>/dev/null
	stopped_qemu=
}

begin 3 --max 1024 --start 512
trap 'wake; finish' EXIT

since() { # LINE PATTERN: lines of the log after that one which match
	tail -n +"$(($1 + 1))" "$work/log" | grep -cE "$2"
}

start_vmbal -v -m 3000 cpu 2 mem 2
sleep 8
judge_end # its own questions would wait, too
stopped_qemu=$(cat "/run/libvirt/qemu/$(guest 3).pid")
kill -STOP "$stopped_qemu"
line=$(wc -l <"$work/log")
sleep 4 # two intervals
holds "the log names the guest that hangs" "$(show_log)" \
	grep -qE "$(guest 3): hung: its QEMU has not answered for 0\.[5-9] s" "$work/log"
holds "... once" "$(show_log)" test "$(grep -c ': hung: its QEMU' "$work/log")" -eq 1
$lab load 1 mem 500@20 >/dev/null
sleep 26
holds "another one grows and gets memory meanwhile" "$(show_log)" \
	test "$(since "$line" "mem: grow $(guest 1) ")" -ge 1
within "seconds of 30 in which the others' memory was watched" "$(since "$line" "mem: [a-z]+ $(guest 2) ")" 22 32
within "intervals of 15 in which their vCPUs were" "$(since "$line" "cpu: [a-z ]+ $(guest 2)/0 ")" 11 16
holds "the one that hangs is told nothing" "$(show_log)" \
	test "$(since "$line" "(mem: (grow|shrink)|cpu: pin) $(guest 3)")" -eq 0
wake
line=$(wc -l <"$work/log")
sleep 4
holds "the log says that it answers again" "$(show_log)" grep -q "$(guest 3): its QEMU answers again" "$work/log"
sleep 4
holds "its memory is watched again" "$(show_log)" \
	test "$(tail -n +"$((line + 1))" "$work/log" | grep -E "mem: [a-z]+ $(guest 3) " | tail -n 1 | grep -c ': hung:')" -eq 0
holds "... and so are its vCPUs" "$(show_log)" test "$(since "$line" "cpu: [a-z ]+ $(guest 3)/0 ")" -ge 1
stop_vmbal
holds "ended with 0" "$(show_log)" test "$stopped" -eq 0
nobody_died
plan
