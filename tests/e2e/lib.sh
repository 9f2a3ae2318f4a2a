# shellcheck shell=bash
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
