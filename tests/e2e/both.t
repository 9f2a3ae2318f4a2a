#!/usr/bin/env bash
# Both loops in one process on real guests; what it costs the daemon; what it never touches.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

begin 4 --max 768 --start 512

busy() {
	local g
	for g in 1 2 3 4; do
		$lab load $g cpu $((10 * g)) >/dev/null
		$lab pin $g 0 >/dev/null
	done
	$lab load 1 mem 450@30 hold:10 0@100 >/dev/null
}

both() { # NAME SECONDS
	local began
	busy
	sleep 2 # so that the judge does not take our pins for vmbal's
	began=$(now)
	start_vmbal -v -m 3000 cpu 1 mem 1
	sleep "$2"
	stop_vmbal
	holds "$1: ended with 0" "$(show_log)" test "$stopped" -eq 0
	within "$1: pins" "$(pins "$began")" $((pcpus > 1)) $((pcpus > 1 ? 6 : 0))
	holds "$1: a balloon was moved" "$(show_log)" grep -qE 'mem: (grow|shrink) ' "$work/log"
	holds "$1: nothing to complain of" "$(show_log)" \
		test "$(grep -cE 'Sanitizer|runtime error|bug:|references left' "$work/log")" -eq 0
	nobody_died
}

before=$(virsh dumpxml --inactive vmbal-lab-1)
both "plain" 20
holds "the persistent definition is as it was" "" \
	test "$(virsh dumpxml --inactive vmbal-lab-1)" = "$before"

# A dry run decides and changes nothing.
busy
sleep 1
masks=$(for g in 1 2 3 4; do virsh vcpupin vmbal-lab-$g --live; done)
start_vmbal -n --log json cpu 1 mem 1
sleep 8
stop_vmbal
holds "dry run: each line is an object; each guest and each decision has its fields" "$(show_log)" \
	python3 -c '
import json, sys
lines = [json.loads(line) for line in sys.stdin]
guests = {f"vmbal-lab-{n}" for n in range(1, 5)}
for loop, figure in ("cpu", "demand_cpus"), ("mem", "demand_kib"):
    told = [l for l in lines if l.get("loop") == loop and "guest" in l]
    assert {l["guest"] for l in told} == guests, loop
    assert all(l["reason"] and l[figure] >= 0 for l in told), loop
    assert any(l["event"] == "host" for l in lines if l.get("loop") == loop), loop
assert any(l["event"] == "would pin" and l["from"] == "0" and l["to"] for l in lines if "event" in l)
' <"$work/log"
holds "dry run: says what it would do" "$(show_log)" grep -q 'cpu: would pin' "$work/log"
holds "dry run: each guest has a reason" "$(show_log)" \
	test "$(grep -oE 'vmbal-lab-[1-4]' "$work/log" | sort -u | wc -l)" -eq 4
holds "dry run: no mask changed" "" test "$masks" = "$(for g in 1 2 3 4; do virsh vcpupin vmbal-lab-$g --live; done)"

# --once: as many samples as one decision needs.
"$program" -g "$guests" --once --metrics "$work/once.prom" cpu 1 mem 1 2>"$work/log"
ok $? "once: exit 0" "$(show_log)"
holds "once: its figures stay" "$(show_log)" grep -q '^vmbal_host_memory_available_bytes ' "$work/once.prom"
holds "once: pinned" "$(show_log)" grep -q 'cpu: pin ' "$work/log"
if ! ldd "$program" | grep -q libtsan; then # from it libfaketime hides what the loops wait for
	faketime -f '+0 x30' "$program" -g "$guests" -n --once cpu 200 mem 1 2>"$work/log"
	ok $? "once: a loop that is done does not count as stuck while the other waits" "$(show_log)"
fi

# A tick that changes nothing makes the same few calls however many guests there are.
calls() { # GUESTS FILE: entries of libvirt's API in the four quietest seconds of both loops, by its log
	LIBVIRT_LOG_FILTERS="1:libvirt" LIBVIRT_LOG_OUTPUTS="1:file:$2" \
		timeout -s TERM 16 "$program" -g "$1" -n cpu 1 mem 1 2>/dev/null
	awk '/debug : vir(Connect|Domain|Node)[A-Z]/ && !/vir(DomainFree|DomainRef|DomainGetUUID|DomainGetName|DomainGetID|DomainStatsRecordListFree|ConnectIsAlive|ConnectRef|ConnectClose)/ {
		split($2, t, /[:.]/); last = t[1] * 3600 + t[2] * 60 + t[3]; if (!first) first = last; n[last]++ }
		END { for (i = first + 3; i < last - 4; i++) {
			sum = n[i] + n[i + 1] + n[i + 2] + n[i + 3]
			if (least == "" || sum < least) least = sum } print least }' "$2"
}
$lab load all cpu 0 >/dev/null
$lab load all mem 0@500 >/dev/null
sleep 5
calls 'vmbal-lab-1' "$work/one" >"$work/calls.one" & # a dry run locks nobody out
all=$(calls 'vmbal-lab-*' "$work/all")
wait $!
one=$(cat "$work/calls.one")
# A second has two bulk reads and three calls for the allowed pCPUs of one guest in turn, of all that
# run: with one that is managed of four, three in four seconds.  Three to five ticks of each loop may lie
# in four seconds.  A call for each guest in each tick of both loops would be 24 more.
within "calls in four quiet seconds, with one guest" "$one" 6 30
within "calls in four quiet seconds, with four" "$all" 15 30

# A pause costs ticks, and nothing is made up for.
start_vmbal -v cpu 0.5
sleep 3
kill -STOP $vmbal
sleep 4
before=$(grep -cE ' cpu: [^l]' "$work/log")
kill -CONT $vmbal
sleep 2
within "ticks in 2 s after a pause of 4 s, at 0.5 s" \
	$(($(grep -cE ' cpu: [^l]' "$work/log") - before)) 3 6
stop_vmbal

# The end comes soon, also in the middle of a tick.
slow=0
for delay in 0.05 0.3 0.7 1.0 1.33; do
	"$program" -g "$guests" cpu 0.1 mem 0.1 2>/dev/null &
	vmbal=$!
	sleep "$delay"
	t=$(date +%s%N)
	kill -INT $vmbal
	wait $vmbal || slow=1
	vmbal=
	took=$((($(date +%s%N) - t) / 1000000))
	echo "# $took ms from SIGINT to the end"
	[ $took -lt 10000 ] || slow=1
done
ok $slow "SIGINT ends it soon and with 0, whenever it comes"
plan
