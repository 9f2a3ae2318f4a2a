#!/usr/bin/env bash
# A build without libxml2 on real guests: it pins and moves balloons as ever, but leaves alone who
# carries metadata that it cannot read, and who the kernel says is in hugepages.
PROGRAM=build/noxml/vmbal
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

pages=256 # of 2 MiB: all memory of one guest
pages_before=$(cat /proc/sys/vm/nr_hugepages)
mounted=

# Before the daemon starts, which looks for it then.
hugepages_begin() {
	[ "$(awk '/^Hugepagesize:/ { print $2 }' /proc/meminfo)" = 2048 ] || return
	if ! grep -q ' hugetlbfs ' /proc/mounts; then
		mkdir -p /dev/hugepages
		mount -t hugetlbfs none /dev/hugepages 2>/dev/null || return
		mounted=/dev/hugepages
	fi
	echo $((pages_before + pages)) 2>/dev/null >/proc/sys/vm/nr_hugepages
	[ "$(cat /proc/sys/vm/nr_hugepages)" -eq $((pages_before + pages)) ]
}

hugepages_end() {
	[ "$(cat /proc/sys/vm/nr_hugepages)" = "$pages_before" ] || echo "$pages_before" >/proc/sys/vm/nr_hugepages
	[ -z "$mounted" ] || umount "$mounted"
}

at_end=hugepages_end
hugepages_begin
hugepages=$?
begin 3 --max 512
holds "it is a build without" "" grep -q '^without libxml2' <("$program" -V)
virsh -q metadata "$(guest 2)" --uri urn:vmbal:policy:1 --key vmbal --set '<policy weight="2"/>' --live

# The third anew, in hugepages.
if [ $hugepages -eq 0 ]; then
	virsh -q destroy "$(guest 3)" >/dev/null
	virsh dumpxml --inactive "$(guest 3)" |
		sed 's,^ *<currentMemory.*,&<memoryBacking><hugepages/></memoryBacking>,' >"$work/huge.xml"
	out=$(virsh -q define "$work/huge.xml" 2>&1 && virsh -q start "$(guest 3)" 2>&1 && sleep 5 && $lab ask 3 2>&1)
	ok $? "a guest in hugepages is up" "$out"
else
	echo "# this machine gives no hugepages: none of the guests is in them"
fi
$lab load all cpu 40 >/dev/null
$lab pin all 0

# mask GUEST
mask() { virsh vcpupin "$(guest "$1")" | awk '$1 == 0 { print $2 }'; }
# said PATTERN: how often
said() { grep -cE -- "$1" "$work/log"; }

start_vmbal -v cpu 1 mem 1
for _ in $(seq 40); do
	[ "$(said "mem: shrink $(guest 1) ")" -lt 2 ] || [ "$(said 'cpu: pin ')" -eq 0 ] || break
	sleep 1
done
sleep 3
within "an ordinary guest gives memory that it does not use: times" "$(said "mem: shrink $(guest 1) ")" 2 40
holds "... and is known to be ordinary" "$(show_log)" test "$(said "$(guest 1) .* unproven:")" -eq 0
within "pins" "$(said 'cpu: pin ')" $((pcpus > 1)) 4
holds "who carries metadata is not pinned" "$(show_log)" test "$(mask 2)" = 0 -a "$(said "pin $(guest 2)/")" -eq 0
holds "... nor is its balloon moved" "$(show_log)" test "$(said "mem: (shrink|grow) $(guest 2) ")" -eq 0
holds "... and that is said once" "$(show_log)" test "$(said "$(guest 2): it carries metadata")" -eq 1
if [ $hugepages -eq 0 ]; then
	holds "hugepages are not taken" "$(show_log)" test "$(said "mem: (shrink|grow) $(guest 3) ")" -eq 0
	holds "... since the kernel says what they are" "$(show_log)" grep -q "leave $(guest 3) .*: locked:" "$work/log"
fi

virsh -q metadata "$(guest 2)" --uri urn:vmbal:policy:1 --remove --live
for _ in $(seq 20); do
	[ "$(said "mem: shrink $(guest 2) ")" -eq 0 ] || break
	sleep 1
done
within "without metadata it is like the first: shrinks" "$(said "mem: shrink $(guest 2) ")" 1 40
stop_vmbal
holds "ended by SIGTERM with 0" "$(show_log)" test "$stopped" -eq 0
nobody_died
plan
