#!/usr/bin/env bash
# Guests are left as they were found: after an end, after a SIGKILL, by --restore; a shrink that a
# crash left is taken back.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

export RUNTIME_DIRECTORY=$work/run
state=$RUNTIME_DIRECTORY/qemu:%2F%2F%2Fsystem

begin 2 --max 512
$lab load all cpu 60 >/dev/null
$lab pin 1 0 >/dev/null
$lab pin 2 0 >/dev/null

masks() {
	local g
	for g in 1 2; do virsh vcpupin "$(guest $g)" --live; done
}
found=$(masks)

# until_pinned ARGUMENTS...: vmbal runs and has moved a vCPU.
until_pinned() {
	local _
	start_vmbal "$@" cpu 1
	for _ in $(seq 150); do
		! grep -q 'cpu: pin ' "$work/log" || return 0
		sleep 0.1
	done
	show_log
}

as_found() { # NAME
	holds "$1: every mask is as it was found" "$(masks)" test "$(masks)" = "$found"
	holds "$1: nothing is left to restore" "$(ls "$work/run")" test ! -e "$state.pins"
}

until_pinned
kill -USR1 $vmbal
sleep 0.5
holds "SIGUSR1: a line for each vCPU and pCPU" "$(show_log)" \
	test "$(grep -cE 'cpu: state of (pCPU [0-9]|vmbal-lab-[12]/0 )' "$work/log")" -eq $((pcpus + 2))
stop_vmbal
holds "an end leaves pins" "$(masks)" test "$(masks)" != "$found"
out=$("$program" -n restore 2>&1)
holds "a dry run shows what would be restored" "$out" grep -q 'would pin.*as it was found' <<<"$out"
holds "... and restores nothing" "$(masks)" test "$(masks)" != "$found" -a -e "$state.pins"
"$program" restore 2>"$work/log"
ok $? "restore: exit 0" "$(show_log)"
as_found "restore"

until_pinned
kill -KILL $vmbal
wait $vmbal 2>/dev/null
start_vmbal cpu 1
sleep 2.5
kill -KILL $vmbal
wait $vmbal 2>/dev/null
vmbal=
"$program" restore 2>"$work/log"
ok $? "restore after two SIGKILLs: exit 0" "$(show_log)"
as_found "two SIGKILLs"

until_pinned --restore
stop_vmbal
holds "--restore: ended with 0" "$(show_log)" test "$stopped" -eq 0
as_found "--restore"

# A shrink that cannot be met yet, as a crash leaves it: a paused guest's balloon stands still.
virsh -q suspend "$(guest 1)"
virsh -q setmem "$(guest 1)" 300M --live
cat >"$state.shrinks" <<END
vmbal state 1
uri qemu:///system
boot $(</proc/sys/kernel/random/boot_id)
shrink $(virsh domuuid "$(guest 1)" | head -n 1) $(virsh domid "$(guest 1)" | head -n 1) 307200
END
"$program" restore 2>"$work/log"
ok $? "restore with a shrink under way: exit 0" "$(show_log)"
virsh -q resume "$(guest 1)"
sleep 2
within "the guest keeps what it held, MiB" "$(actual 1)" 508 512
virsh -q setmem "$(guest 1)" 300M --live
wait_size 1 at-most 304 20
within "... though it follows any target at once, MiB" "$(actual 1)" 296 304
holds "the shrink is forgotten" "$(ls "$work/run")" test ! -e "$state.shrinks"
nobody_died
plan
