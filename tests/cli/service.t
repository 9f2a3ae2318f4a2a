#!/usr/bin/env bash
# Beside others and under a service manager: locks, state, signals, notifications.  No libvirtd
# is needed: nobody listens at this connection.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

work=$(mktemp -d)
export RUNTIME_DIRECTORY=$work/run
uri="qemu+unix:///system?socket=$work/none"
name=qemu+unix:%2F%2F%2Fsystem%3Fsocket=${work//\//%2F}%2Fnone
pids=()

finish() {
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	rm -rf "$work"
}
trap finish EXIT

# start LOG ARGUMENTS...: in the background, once it has said its settings.
start() {
	local log=$1
	shift
	./vmbal -c "$uri" "$@" 2>"$work/$log" &
	pid=$!
	pids+=("$pid")
	wait_for 'Failed to connect' "$work/$log"
}

# wait_for PATTERN FILE: five seconds at most.
wait_for() {
	local _
	for _ in $(seq 100); do
		! grep -qsE -- "$1" "$2" || return 0
		sleep 0.05
	done
	return 1
}

# ---- one vmbal per loop and connection ----

start first cpu 1
first=$pid
out=$(timeout 5 ./vmbal -c "$uri" cpu 1 2>&1)
status=$?
holds "a second one exits with 1" "$status" test $status -eq 1
holds "... and says who runs" "$out" grep -q "process $first runs the cpu loop already" <<<"$out"
out=$(timeout 5 ./vmbal -c "$uri" -1 mem 1 2>&1)
holds "the other loop may run" "$out" grep -q 'Failed to connect' <<<"$out"
out=$(timeout 5 ./vmbal -c "$uri&x=1" -1 cpu 1 2>&1)
holds "so may this one on another connection" "$out" grep -q 'Failed to connect' <<<"$out"
out=$(timeout 5 ./vmbal -c "$uri" -1 -n cpu 1 2>&1)
holds "so may a dry run" "$out" grep -q 'Failed to connect' <<<"$out"
out=$(timeout 5 ./vmbal -c "$uri" restore 2>&1)
holds "restore waits for its end" "$out" grep -q "process $first runs" <<<"$out"
kill -KILL "$first"
wait "$first" 2>/dev/null
start second cpu 1
holds "a crash releases the lock" "$(cat "$work/second")" kill -0 "$pid"
kill "$pid"
wait "$pid"
holds "SIGTERM: exit 0" "$?" test $? -eq 0

# ---- the runtime directory ----

holds "its files are named by the URI" "$(ls "$work/run")" test -e "$work/run/$name.lock"
out=$(./vmbal -c "$uri" restore 2>&1)
holds "restore with nothing to do: exit 0" "$out" test $? -eq 0 -a -z "$out"
echo rubbish >"$work/run/$name.pins"
out=$(./vmbal -c "$uri" restore 2>&1)
status=$?
holds "restore refuses a foreign state file" "$out" test $status -eq 1
holds "... says so" "$out" grep -q "$name.pins is not used: it does not begin with" <<<"$out"
holds "... and sets it aside" "$(ls "$work/run")" \
	test -e "$work/run/$name.pins.bad" -a ! -e "$work/run/$name.pins"
chmod 777 "$work/run"
out=$(./vmbal -c "$uri" -1 cpu 1 2>&1)
status=$?
chmod 755 "$work/run"
holds "a directory that others can write to is refused" "$out" grep -q 'others can write to it' <<<"$out"
[ "$(id -u)" -ne 0 ] || holds "... and root does not go on" "$status: $out" test "$status" -eq 1 -a "$(wc -l <<<"$out")" -eq 1
if [ "$(id -u)" -eq 0 ]; then
	cp vmbal "$work/vmbal" && chmod 755 "$work"
	out=$(env -u RUNTIME_DIRECTORY -u XDG_RUNTIME_DIR setpriv --reuid 65534 --regid 65534 \
		--clear-groups "$work/vmbal" -c "$uri" -1 cpu 1 2>&1)
	holds "another user warns and goes on" "$out" test "$(grep -cE \
		'no runtime directory: XDG_RUNTIME_DIR|Failed to connect' <<<"$out")" -eq 2
fi
RUNTIME_DIRECTORY=/dev/null/x ./vmbal -c "$uri" -n -1 cpu 1 2>"$work/dry"
holds "a dry run needs no directory" "$(cat "$work/dry")" grep -q 'Failed to connect' "$work/dry"

# ---- rivals ----

cp "$(command -v sleep)" "$work/numad"
"$work/numad" 20 &
pids+=($!)
wait_for numad "/proc/$!/comm"
out=$(./vmbal -c "$uri" -1 cpu 1 2>&1)
holds "a running numad is warned of" "$out" grep -q 'numad runs on this host' <<<"$out"
plan
