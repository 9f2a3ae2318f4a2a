#!/usr/bin/env bash
# As the unit runs it: the user of contrib/vmbal.sysusers with what contrib/vmbal.rules lets it do,
# no capability, all file systems but its runtime directory read-only, no network; and no system
# call that the unit's filter would kill it for.  Only where no daemon runs, since polkit and
# libvirtd are started for it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

unit=contrib/vmbal.service
rules=/etc/polkit-1/rules.d/10-vmbal-test.rules
pids=()
made_user=

end() {
	[ -z "$vmbal" ] || kill "$vmbal" 2>/dev/null
	$lab down >/dev/null 2>&1
	for file in "$work"/*.pid; do
		[ ! -e "$file" ] || kill "$(cat "$file")"
	done
	until_true 10 test ! -e "$work/libvirtd.pid"
	[ -z "${pids[*]}" ] || kill "${pids[@]}" 2>/dev/null
	[ -z "$made_user" ] || userdel vmbal
	rm -rf "$rules" "$work"
}

skip() {
	echo "1..0 # SKIP $*"
	rm -rf "$work"
	exit 0
}

# until_true SECONDS COMMAND...
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# expand SET...: the system calls of sets of systemd's, those in sets of theirs, too.
expand() {
	local name
	systemd-analyze syscall-filter --no-pager "$@" | sed -n 's/^    \([@a-z]\)/\1/p' | while read -r name; do
		case $name in
		@*) expand "$name" ;;
		*) echo "$name" ;;
		esac
	done
}

polkit=/usr/lib/polkit-1/polkitd
[ "$(id -u)" -eq 0 ] || skip "needs root"
command -v strace systemd-sysusers dbus-daemon $polkit >/dev/null || skip "no strace, systemd-sysusers, dbus-daemon or polkitd"
! virsh uri >/dev/null 2>&1 || skip "a daemon runs that is not ours"
trap end EXIT
trap 'exit 130' INT TERM

# The user, its rule, who enforces it.
id vmbal >/dev/null 2>&1 || made_user=yes
systemd-sysusers "$PWD/contrib/vmbal.sysusers" >/dev/null 2>&1
cp contrib/vmbal.rules $rules
mkdir -p /run/dbus
if ! dbus-send --system --dest=org.freedesktop.DBus / org.freedesktop.DBus.Peer.Ping 2>/dev/null; then
	rm -f /run/dbus/pid
	dbus-daemon --system --nofork --nopidfile >/dev/null 2>&1 &
	pids+=($!)
	until_true 5 test -S /run/dbus/system_bus_socket
fi
$polkit --no-debug >/dev/null 2>&1 &
pids+=($!)
until_true 5 pkaction
printf 'access_drivers = [ "polkit" ]\nauth_unix_rw = "polkit"\n' >"$work/libvirtd.conf"
virtlogd -d -p "$work/virtlogd.pid" </dev/null >/dev/null 2>&1
libvirtd -d -f "$work/libvirtd.conf" -p "$work/libvirtd.pid" </dev/null >/dev/null 2>&1
until_true 10 virsh uri
$lab up 2 --max 512 --pin 0 >"$work/up" 2>&1 || {
	sed 's/^/# /' "$work/up"
	echo "Bail out! the lab did not come up"
	exit 1
}
$lab load all cpu 60 >/dev/null

# unit_vmbal ARGUMENTS...: 157 and 65 are prctl(PR_SET_MDWE).
chmod 755 "$work"
cp "$program" "$work/vmbal"
export RUNTIME_DIRECTORY=$work/run
export ASAN_OPTIONS=detect_leaks=0 # it cannot while strace looks on
install -d -o vmbal -g vmbal "$RUNTIME_DIRECTORY"
# shellcheck disable=SC2046 # words
mapfile -t refused < <(expand $(sed -n 's/^SystemCallFilter=~//p' $unit) | sort -u)
unit_vmbal() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --net bash -c '
		mount --bind "$RUNTIME_DIRECTORY" "$RUNTIME_DIRECTORY"
		findmnt -rno TARGET | while read -r at; do
			[ "$at" = "$RUNTIME_DIRECTORY" ] || mount -o remount,bind,ro "$at"
		done
		exec setpriv --reuid vmbal --regid vmbal --init-groups --bounding-set=-all \
			--inh-caps=-all --no-new-privs perl -e "syscall(157, 65, 1, 0, 0, 0); exec @ARGV" \
			strace -f -qq -o "$RUNTIME_DIRECTORY/calls" "$@"' \
		- -e "inject=$(printf ',?%s' "${refused[@]}" | cut -c2-):error=EPERM" \
		"$work/vmbal" -g "$guests" "$@" 2>"$work/log" &
	vmbal=$!
}

unit_vmbal --restore cpu 1 mem 1
until_true 15 grep -q ' cpu: pin ' "$work/log"
ok $? "pins" "$(show_log)"
until_true 10 grep -q ' mem: shrink ' "$work/log"
ok $? "shrinks" "$(show_log)"
pkill -TERM -P "$vmbal"
wait "$vmbal"
status=$?
holds "ends with 0" "$(show_log)" test $status -eq 0
vmbal=
bad=$(grep -vE ' (cpu|mem): |connected to|Terminated: stopping|vmbal [0-9.]+: ' "$work/log")
holds "nothing is refused, on the way or at the end" "$bad" test -z "$bad"
cpus=$(for g in 1 2; do virsh vcpupin "$(guest $g)" | awk '$1 == 0 { print $2 }'; done | sort -u)
holds "what was found is put back" "$cpus" test "$cpus" = 0

# What is not refused one by one must be among what is allowed.
calls=$(sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$RUNTIME_DIRECTORY/calls" | sort -u)
odd=$(comm -23 <(echo "$calls") <(expand @system-service | sort -u))
holds "no system call that the unit does not know, of $(wc -w <<<"$calls")" "$odd" test -n "$calls" -a -z "$odd"
families=$(grep -oE 'socket\(AF_[A-Z0-9]+' "$RUNTIME_DIRECTORY/calls" | sort -u)
holds "no family of sockets but AF_UNIX" "$families" test "$families" = 'socket(AF_UNIX'
plan
