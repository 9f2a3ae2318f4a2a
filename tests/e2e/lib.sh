# shellcheck shell=bash disable=SC2034 # what the tests use
# What the tests on real guests share: the lab, the daemon's own figures as the judge, vmbal.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=lab/judge.sh
. lab/judge.sh

lab=lab/lab
guests='vmbal-lab-*'
pcpus=$(nproc)
work=$(mktemp -d)
vmbal=

# begin LAB-UP-ARGUMENTS...: boots the guests; they go, with all we started, when we end.
begin() {
	trap finish EXIT
	trap 'exit 130' INT TERM
	echo "# booting guests: $*"
	$lab up "$@" >"$work/up" 2>&1 || {
		sed 's/^/# /' "$work/up"
		echo "Bail out! the lab did not come up"
		exit 1
	}
	judge_begin
}

finish() {
	[ -z "$vmbal" ] || kill "$vmbal" 2>/dev/null
	judge_end
	$lab down >/dev/null 2>&1
	rm -rf "$work"
}

now() {
	date +%s
}

# start_vmbal ARGUMENTS...: of the program named by $program, ./vmbal by default.
start_vmbal() {
	"${program:-./vmbal}" -g "$guests" "$@" 2>"$work/log" &
	vmbal=$!
}

# Ends vmbal as an operator would, and shows its log where a test failed.
stop_vmbal() {
	kill -TERM "$vmbal"
	wait "$vmbal"
	stopped=$?
	vmbal=
}

show_log() {
	sed 's/^/# /' "$work/log" | tail -n 60
}

nobody_died() {
	local dead

	dead=$($lab dead 2>&1)
	ok $? "no guest died or killed a process" "$dead"
}

# ---- memory: four guests vmbal-lab-1..4 on a lab host of $budget MiB ----

guest() { echo "vmbal-lab-$1"; }
actual() { last 4 "$(guest "$1")"; }

# wait_settled SECONDS: until no guest's size has moved for that long; 300 s at most.
wait_settled() {
	local _
	for _ in $(seq 300); do
		sleep 1
		[ "$(balloon_changes $(($(now) - $1)) "$(now)")" -gt 0 ] || return 0
	done
	return 1
}

# safe NAME FROM: from then on no guest was short and the host kept its reserve.
safe() {
	local g
	for g in 1 2 3 4; do
		within "$1: least usable in guest $g, MiB" "$(least 5 "$2" "$(now)" "$(guest $g)")" 100 2048
	done
	within "$1: host memory left, MiB" "$(host_left "$2" "$(now)")" 200 "$budget"
	nobody_died
}

free_all() {
	$lab load all mem 0@200 >/dev/null
}

run_case() { # VMBAL-ARGUMENTS...
	start_vmbal -m "$budget" "$@"
	sleep 10
	began=$(now)
}

end_case() { # NAME: to be quiet once all is settled
	local calm
	wait_settled 40 # a growth is kept for 30 s
	ok $? "$1: settles" "$(show_log)"
	calm=$(now)
	sleep 15
	within "$1: balloon changes once settled" "$(balloon_changes "$calm" "$(now)")" 0 0
	stop_vmbal
	holds "$1: ended by SIGTERM with 0" "" test "$stopped" -eq 0
	[ "$(balloon_changes "$calm" "$(now)")" -eq 0 ] || show_log
}
