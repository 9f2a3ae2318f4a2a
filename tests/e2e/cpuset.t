#!/usr/bin/env bash
# pCPUs that guests may not have, under cgroup v1: known from the groups' files, learnt from
# refusals where these cannot be read, and followed when they change.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

machine=/sys/fs/cgroup/cpuset/machine
if [ "$pcpus" -lt 2 ] || ! mkdir -p $machine 2>/dev/null; then
	echo "1..0 # SKIP cpusets of cgroup v1 and two pCPUs are needed"
	exit
fi
all=$(cat $machine/../cpuset.cpus)
others=1
[ "$pcpus" -eq 2 ] || others=1-$((pcpus - 1))
cat $machine/../cpuset.mems >$machine/cpuset.mems
echo 0 >$machine/cpuset.cpus

begin 2 --max 512
trap 'finish; rmdir $machine 2>/dev/null' EXIT
$lab load all cpu 60 >/dev/null
export RUNTIME_DIRECTORY=$work/run

# until_said PATTERN SECONDS: the log has such a line.
until_said() {
	local _
	for _ in $(seq $(($2 * 5))); do
		! grep -qE "$1" "$work/log" || return 0
		sleep 0.2
	done
	return 1
}

said() { # PATTERN: how many lines of the log are such
	grep -cE "$1" "$work/log"
}

start_vmbal cpu 1
until_said "cgroups leave out pCPUs $others: not used, as with --cpus 0" 10
ok $? "files: what the groups leave out is said" "$(show_log)"
sleep 10
within "files: refused pins" "$(said 'could not pin')" 0 0
stop_vmbal
"$program" restore 2>/dev/null

# As where the daemon is another machine's, or /sys another's.
unshare -m bash -c 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"' - \
	"$program" -g "$guests" cpu 1 2>"$work/log" &
vmbal=$!
until_said 'kernel refuses pins to pCPUs .*: not used' 30
ok $? "refusals: what was learnt is said" "$(show_log)"
sleep 3 # it is said after the first guest's refusal, and the other one may teach it an interval later
refused=$(said 'could not pin')
within "refusals: pins that taught it" "$refused" 1 $((2 * (pcpus - 1)))
sleep 10
within "refusals: ... and none after" "$(said 'could not pin')" "$refused" "$refused"
within "refusals: ... said once" "$(said 'not used')" 1 1
stop_vmbal
"$program" restore 2>"$work/log"
ok $? "a vCPU that was unpinned is put back on what it may have" "$(show_log)"

start_vmbal cpu 1
until_said "cgroups leave out pCPUs $others" 10
for group in "$machine" "$machine"/*.libvirt-qemu; do
	echo "$all" >"$group/cpuset.cpus"
done
until_said 'cgroups leave out none' 10
ok $? "wider again: said" "$(show_log)"
until_said ' -> [1-9][0-9]*: load balance| -> [1-9][0-9]*: initial placement' 20
ok $? "... and used" "$(show_log)"
within "... with no refused pin" "$(said 'could not pin')" 0 0
stop_vmbal
nobody_died
plan
