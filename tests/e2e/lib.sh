# shellcheck shell=bash disable=SC2034 # what the tests use
# What the tests on real guests share: the lab, the daemon's own figures as the judge, vmbal.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=lab/cases.sh
. lab/cases.sh

work=$(mktemp -d)
at_end=: # what else is to be undone then

# begin LAB-UP-ARGUMENTS...: boots the guests; they go, with all we started, when we end.
begin() {
	trap finish EXIT
	trap 'exit 130' INT TERM
	echo "# booting guests: $*"
	$lab down >/dev/null 2>&1 # what a run left behind that was killed
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
	$at_end
}

# start_vmbal ARGUMENTS...
start_vmbal() {
	start_as vmbal "$@"
}

show_log() {
	sed 's/^/# /' "$work/log" | tail -n 60
}

nobody_died() {
	local dead

	dead=$($lab dead 2>&1)
	ok $? "no guest died or killed a process" "$dead"
}

# ---- memory: four guests on a lab host of $budget MiB ----

# wait_size GUEST AT-LEAST|AT-MOST MIB SECONDS: until it is so, or the time is over.
wait_size() {
	local _
	for _ in $(seq "$4"); do
		case $2 in
		at-least) [ "$(actual "$1")" -lt "$3" ] || return 0 ;;
		at-most) [ "$(actual "$1")" -gt "$3" ] || return 0 ;;
		esac
		sleep 1
	done
	return 1
}

# safe NAME: since the case began no guest was short and the host kept its reserve.
safe() {
	local g
	for g in 1 2 3 4; do
		within "$1: least usable in guest $g, MiB" "$(least 5 "$began" "$(now)" "$(guest $g)")" 100 2048
	done
	within "$1: host memory left, MiB" "$(host_left "$began" "$(now)")" 200 "$budget"
	nobody_died
}

free_all() {
	$lab load all mem 0@200 >/dev/null
}

run_case() { # VMBAL-ARGUMENTS...
	start_vmbal -m "$budget" "$@"
	sleep 6
	began=$(now)
}

end_case() { # NAME: no more balloon command once all is settled
	wait_quiet
	ok $? "$1: settles, and then not one command in $quiet s" "$(show_log)"
	stop_vmbal
	holds "$1: ended by SIGTERM with 0" "" test "$stopped" -eq 0
}
