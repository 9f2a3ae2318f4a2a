#!/usr/bin/env bash
# A daemon that freezes, is killed, or is not there: with real guests, under both loops.  Only
# where the lab started the daemon: nobody else's is stopped.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

dir=/var/lib/vmbal-lab
lines=0
end() {
	[ -z "$vmbal" ] || kill -KILL "$vmbal" 2>/dev/null
	kill -CONT "$(daemon)" 2>/dev/null
	virsh uri >/dev/null 2>&1 || daemon_start
	$lab down >/dev/null 2>&1
	rm -rf "$work"
}

daemon() { awk '$2 == "libvirtd" { pid = $1 } END { print pid }' "$dir/daemons"; }

daemon_start() {
	libvirtd -d -p "$dir/libvirtd.pid" </dev/null >/dev/null 2>&1
	echo "$(cat $dir/libvirtd.pid) libvirtd" >>$dir/daemons
	until virsh uri >/dev/null 2>&1; do sleep 0.05; done
}

begin_both() {
	start_vmbal -v cpu 1 mem 1
	sleep "${1:-3}"
}

# Warnings and errors about the connection so far.
said() { grep -c ' qemu:///system: ' "$work/log"; }

# goes_on NAME: both loops decide again within 2 intervals and the one that the first sample takes.
goes_on() {
	local cpu mem
	lines=$(wc -l <"$work/log")
	sleep 3.5
	cpu=$(tail -n +$((lines + 1)) "$work/log" | grep -c ' cpu: ')
	mem=$(tail -n +$((lines + 1)) "$work/log" | grep -c ' mem: ')
	holds "$1: both loops go on within two intervals of the first sample" "$(show_log)" test "$cpu" -gt 0 -a "$mem" -gt 0
}

# end_soon NAME: SIGTERM ends it with 0, whatever hangs.
end_soon() {
	local t=${EPOCHREALTIME/./}
	stop_vmbal
	within "$1: ms from SIGTERM to the end" $(((${EPOCHREALTIME/./} - t) / 1000)) 0 10000
	holds "$1: ended with 0" "$(show_log)" test "$stopped" -eq 0
}

trap end EXIT
trap 'exit 130' INT TERM
if virsh uri >/dev/null 2>&1; then
	echo "1..0 # SKIP a daemon runs that is not ours to stop"
	trap - EXIT
	exit 0
fi
$lab up 2 --max 768 --start 384 >"$work/up" 2>&1 || {
	sed 's/^/# /' "$work/up"
	echo "Bail out! the lab did not come up"
	exit 1
}

begin_both
kill -STOP "$(daemon)"
sleep 2
end_soon "frozen"
kill -CONT "$(daemon)"

begin_both
kill -STOP "$(daemon)"
sleep 22
kill -CONT "$(daemon)"
goes_on "frozen for 22 s"
within "frozen for 22 s: said" "$(said)" 0 1
end_soon "thawed"

# Killed while a guest grows: it waits with what it has, and is served as soon as it can be.
begin_both
$lab load 1 mem 400@15 >/dev/null
sleep 3
kill -KILL "$(daemon)"
sleep 3
within "killed: said" "$(said)" 1 1
daemon_start
goes_on "killed and started again"
within "killed and started again: connected" "$(grep -c 'connected to' "$work/log")" 2 2
within "killed and started again: said" "$(said)" 1 1
for _ in $(seq 25); do
	size=$(virsh domstats --balloon "$(guest 1)" | sed -n 's/.*balloon.current=//p')
	[ "$((size / 1024))" -lt 640 ] || break
	sleep 1
done
within "killed in mid-growth: what the guest has in the end, MiB" $((size / 1024)) 640 768
nobody_died
kill -TERM "$(daemon)"
sleep 4
within "stopped: said" "$(said)" 2 2
end_soon "stopped"

begin_both 4
within "not there: said" "$(said)" 1 1
daemon_start
# A new daemon probes QEMU when it is asked for its capabilities, which takes it seconds: it is not.
for _ in $(seq 40); do
	! grep -q ' cpu: ' "$work/log" || break
	sleep 0.5
done
goes_on "there at last"
end_soon "there at last"
nobody_died
plan
