#!/usr/bin/env bash
# A guest of which a backup is being made, which can last for hours, is managed as others are.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

images=/var/lib/libvirt/images
mkdir -p $images
disk=$(mktemp "$images/vmbal-lab-XXXXXX")
socket=/var/lib/libvirt/qemu/vmbal-lab-backup.sock # QEMU may write there
at_end="rm -f $disk $disk.scratch $socket"

begin 1 --max 512
truncate -s 64M "$disk"
virsh attach-disk "$(guest 1)" "$disk" vdb --subdriver raw --live >"$work/out" 2>&1
ok $? "it has a disk" "$(cat "$work/out")"
cat >"$work/backup.xml" <<-END
	<domainbackup mode='pull'>
	  <server transport='unix' socket='$socket'/>
	  <disks><disk name='vdb' type='file' backup='yes'><scratch file='$disk.scratch'/></disk></disks>
	</domainbackup>
END
virsh backup-begin "$(guest 1)" "$work/backup.xml" >"$work/out" 2>&1
ok $? "its backup begins" "$(cat "$work/out")"
start_vmbal -m 2048 cpu 1 mem 1
for _ in $(seq 40); do
	! grep -q 'mem: shrink ' "$work/log" || break
	sleep 1
done
holds "what it does not use is taken of it" "$(show_log)" grep -q 'mem: shrink ' "$work/log"
holds "... while the backup goes on" "$(virsh domjobinfo "$(guest 1)")" \
	grep -q 'Operation: *Backup' <<<"$(virsh domjobinfo "$(guest 1)")"
stop_vmbal
holds "ended by SIGTERM with 0" "$(show_log)" test "$stopped" -eq 0
virsh domjobabort "$(guest 1)" >/dev/null
nobody_died
plan
