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
	"$program" -c "$uri" "$@" >/dev/null 2>"$work/$log" &
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

# ended PID: it ends by itself, within 10 s, with 0; it is gone in any case.
ended() {
	timeout 10 tail --pid="$1" -f /dev/null || kill -KILL "$1"
	wait "$1"
}

# ---- one vmbal per loop and connection ----

start first cpu 1
first=$pid
out=$(timeout 5 "$program" -c "$uri" cpu 1 2>&1)
status=$?
holds "a second one exits with 1" "$status" test $status -eq 1
holds "... and says who runs" "$out" grep -q "process $first runs the cpu loop already" <<<"$out"
out=$(timeout 5 "$program" -c "$uri" -1 mem 1 2>&1)
holds "the other loop may run" "$out" grep -q 'Failed to connect' <<<"$out"
out=$(timeout 5 "$program" -c "$uri&x=1" -1 cpu 1 2>&1)
holds "so may this one on another connection" "$out" grep -q 'Failed to connect' <<<"$out"
out=$(timeout 5 "$program" -c "$uri" -1 -n cpu 1 2>&1)
holds "so may a dry run" "$out" grep -q 'Failed to connect' <<<"$out"
out=$(timeout 5 "$program" -c "$uri" restore 2>&1)
holds "restore waits for its end" "$out" grep -q "process $first runs" <<<"$out"
kill -KILL "$first"
wait "$first" 2>/dev/null
start second cpu 1
holds "a crash releases the lock" "$(cat "$work/second")" kill -0 "$pid"
kill "$pid"
ended "$pid"
holds "SIGTERM: exit 0" "$?" test $? -eq 0

# ---- the runtime directory ----

holds "its files are named by the URI" "$(ls "$work/run")" test -e "$work/run/$name.lock"
out=$("$program" -c "$uri" restore 2>&1)
holds "restore with nothing to do: exit 0" "$out" test $? -eq 0 -a -z "$out"
echo rubbish >"$work/run/$name.pins"
out=$("$program" -c "$uri" restore 2>&1)
status=$?
holds "restore refuses a foreign state file" "$out" test $status -eq 1
holds "... says so" "$out" grep -q "$name.pins is not used: it does not begin with" <<<"$out"
holds "... and sets it aside" "$(ls "$work/run")" \
	test -e "$work/run/$name.pins.bad" -a ! -e "$work/run/$name.pins"
echo rubbish >"$work/run/$name.pins"
{
	sleep 0.3
	"$program" -c "$uri" restore
	echo $? >"$work/status"
} 2>&1 | true
holds "... also where nobody reads that" "$(cat "$work/status")" test "$(cat "$work/status")" -eq 1
chmod 777 "$work/run"
out=$("$program" -c "$uri" -1 cpu 1 2>&1)
status=$?
chmod 755 "$work/run"
holds "a directory that others can write to is refused" "$out" grep -q 'others can write to it' <<<"$out"
[ "$(id -u)" -ne 0 ] || holds "... and root does not go on" "$status: $out" test "$status" -eq 1 -a "$(wc -l <<<"$out")" -eq 1
if [ "$(id -u)" -eq 0 ]; then
	cp "$program" "$work/vmbal" && chmod 755 "$work"
	out=$(env -u RUNTIME_DIRECTORY -u XDG_RUNTIME_DIR setpriv --reuid 65534 --regid 65534 \
		--clear-groups "$work/vmbal" -c "$uri" -1 cpu 1 2>&1)
	holds "another user warns and goes on" "$out" test "$(grep -cE \
		'no runtime directory: XDG_RUNTIME_DIR|Failed to connect' <<<"$out")" -eq 2
fi
RUNTIME_DIRECTORY=/dev/null/x "$program" -c "$uri" -n -1 cpu 1 2>"$work/dry"
holds "a dry run needs no directory" "$(cat "$work/dry")" grep -q 'Failed to connect' "$work/dry"

# ---- signals ----

start signals cpu 0.2 mem 0.2
kill -USR1 "$pid"
wait_for 'state: .*cpu: libvirt cannot be read; mem: libvirt cannot be read' "$work/signals"
ok $? "SIGUSR1 prints the state" "$(cat "$work/signals")"
wait_for 'cpu: nothing is known' "$work/signals" && wait_for 'mem: nothing is known' "$work/signals"
ok $? "... of each loop" "$(cat "$work/signals")"
kill -HUP "$pid"
wait_for 'Hangup: reading anew' "$work/signals"
ok $? "SIGHUP is taken" "$(cat "$work/signals")"
mv "$work/signals" "$work/signals.1"
kill -HUP "$pid"
wait_for 'Hangup: reading anew' "$work/signals"
ok $? "... and opens the log anew" "$(cat "$work/signals.1")"
mkdir "$work/logs"
mv "$work/signals" "$work/signals.1"
ln -s "$work/logs/elsewhere" "$work/signals"
kill -HUP "$pid"
wait_for 'log file cannot be opened anew: .*symbolic' "$work/signals.1"
ok $? "... but not where a link leads" "$(cat "$work/signals.1")"
holds "... which stays as it is" "$(ls "$work/logs")" test -z "$(ls "$work/logs")"
rm "$work/signals"
mkfifo "$work/signals"
kill -HUP "$pid"
kill -USR1 "$pid"
wait_for 'cannot be opened anew: No such device' "$work/signals.1"
ok $? "... and a pipe without a reader does not hold it up" "$(cat "$work/signals.1")"
sleep 0.5
holds "both are survived" "$(cat "$work/signals.1")" kill -0 "$pid"
kill -TERM "$pid"
ended "$pid"
holds "SIGTERM ends it with 0" "$?" test $? -eq 0
start long cpu 86400
kill -USR1 "$pid"
wait_for 'cpu: nothing is known' "$work/long"
ok $? "the state comes at once, not at the next tick" "$(cat "$work/long")"
kill "$pid"
ended "$pid"

# Nobody reads its log: it goes on, and ends.
mkfifo "$work/full"
exec 9<>"$work/full"
dd if=/dev/zero of="$work/full" oflag=nonblock bs=4096 count=999 2>/dev/null
"$program" -c "$uri" cpu 0.2 mem 0.2 >/dev/null 2>"$work/full" &
pid=$!
pids+=("$pid")
sleep 1
kill -TERM "$pid"
ended "$pid"
holds "a log that nobody reads does not keep it from its end" "$?" test $? -eq 0
exec 9>&-

# ---- notifications ----

listen=build/tests/cli/listen
# manager ADDRESS: a service manager that writes down what it hears.
manager() {
	$listen manager "$1" >"$work/heard" &
	listener=$!
	pids+=("$listener")
	until [ -S "$1" ] || grep -qsF "$1" /proc/net/unix; do sleep 0.02; done
}
heard() { grep -cx "$1" "$work/heard"; }

for address in "$work/notify" "@vmbal-test-$$"; do
	manager "$address"
	export NOTIFY_SOCKET=$address
	WATCHDOG_USEC=400000 start told cpu 86400
	wait_for '^STATUS=cpu: libvirt cannot be read' "$work/heard"
	ok $? "${address:0:1}: STATUS= in words, also without libvirtd" "$(cat "$work/heard")"
	holds "READY=1 is the first thing said" "$(cat "$work/heard")" \
		test "$(head -n 1 "$work/heard")" = READY=1
	sleep 1
	within "the watchdog is fed while a loop waits for its deadline" "$(heard WATCHDOG=1)" 3 9
	kill -HUP "$pid"
	wait_for '^RELOADING=1$' "$work/heard"
	ok $? "RELOADING=1 after SIGHUP" "$(cat "$work/heard")"
	sleep 0.5
	holds "... since when, and READY=1 again" "$(cat "$work/heard")" \
		grep -qE 'RELOADING=1 MONOTONIC_USEC=[1-9][0-9]* (WATCHDOG=1 )*READY=1 ' <(tr '\n' ' ' <"$work/heard")
	kill "$pid"
	wait_for '^STOPPING=1$' "$work/heard"
	ok $? "STOPPING=1" "$(cat "$work/heard")"
	ended "$pid"
	kill "$listener"
done

# In a call that never returns: fed as long as a call may take, and then no more.
$listen mute "$work/none" >/dev/null &
pids+=($!)
until [ -S "$work/none" ]; do sleep 0.02; done
manager "$work/notify2"
NOTIFY_SOCKET=$work/notify2 WATCHDOG_USEC=200000 faketime -f '+0 x30' \
	"$program" -c "$uri" cpu 1 >/dev/null 2>"$work/stuck" &
faketime=$!
sleep 1
pid=$(pgrep -P "$faketime")
pids+=("$pid")
fed=$(heard WATCHDOG=1)
within "stuck in a call for less than a minute: fed" "$fed" 3 30
sleep 2.5
fed=$(heard WATCHDOG=1)
sleep 1
within "stuck for longer: not fed any more" $(($(heard WATCHDOG=1) - fed)) 0 0
within "... and said" "$(grep -c 'libvirt does not answer' "$work/stuck")" 1 1
kill -KILL "$pid"
wait "$faketime" 2>/dev/null
unset NOTIFY_SOCKET
timeout 20 faketime -f '+0 x30' "$program" -c "$uri" cpu 1 >/dev/null 2>"$work/lost"
status=$?
holds "stuck for longer, without a watchdog: ends with 1" "$status: $(cat "$work/lost")" \
	test $status -eq 1
holds "... says why" "$(cat "$work/lost")" grep -q 'does not answer: giving up' "$work/lost"
holds "... and what can put back what is left" "$(cat "$work/lost")" \
	grep -q "'vmbal restore' can put back" "$work/lost"
faketime -f '+0 x30' "$program" -c "$uri-none" cpu 1 >/dev/null 2>"$work/stopped" &
faketime=$!
wait_for 'Failed to connect' "$work/stopped"
pid=$(pgrep -P "$faketime")
pids+=("$pid")
kill -STOP "$pid"
sleep 3
kill -CONT "$pid"
sleep 1
holds "stopped for longer: goes on" "$(cat "$work/stopped")" kill -0 "$pid"
kill "$pid"
wait "$faketime"
holds "... and ends with 0" "$(cat "$work/stopped")" test $? -eq 0
"$program" -c "$uri" cpu 1 mem 1 >/dev/null 2>"$work/hung" &
pid=$!
pids+=("$pid")
sleep 0.5
kill -TERM "$pid"
ended "$pid"
holds "SIGTERM ends it with 0, stuck or not" "$?" test $? -eq 0

rm "$work/none"

# ---- the unit ----

unit=contrib/vmbal.service
if systemd-analyze --version >/dev/null 2>&1; then
	out=$(systemd-analyze security --offline=yes --no-pager $unit 2>&1)
	within "exposure by systemd-analyze security" "$(sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p' <<<"$out")" 0 1.9
	sed 's,^ExecStart=[^ ]*,ExecStart=/bin/true,' $unit >"$work/vmbal.service"
	out=$(systemd-analyze verify --man=no "$work/vmbal.service" 2>&1)
	holds "systemd knows every line of it" "$out" test -z "$out"
fi

# ---- the alert rules ----

while read -r name; do
	holds "alerts and dashboard: $name is a figure of --metrics" "" grep -q "\"${name#vmbal_}\"" report/metrics.c
done < <(grep -ohE 'vmbal_[a-z_]+' contrib/vmbal.alerts.yml contrib/grafana.json | sort -u)
if command -v promtool >/dev/null; then
	out=$(promtool check rules contrib/vmbal.alerts.yml 2>&1)
	ok $? "alerts: promtool accepts them" "$out"
fi

# ---- the dashboard, and the rules of polkit old and new ----

out=$(python3 -m json.tool contrib/grafana.json 2>&1 >/dev/null)
ok $? "the dashboard is JSON" "$out"
holds "polkit's old rule allows what the new one does" "" test \
	"$(grep -oE 'org\.libvirt[a-z.-]+' contrib/vmbal.pkla | sort -u)" = \
	"$(sed -n '/needed = /,/;/p' contrib/vmbal.rules | grep -oE 'org\.libvirt[a-z.-]+' | sort -u)"

# ---- rivals ----

cp "$(command -v sleep)" "$work/numad"
"$work/numad" 20 >/dev/null &
pids+=($!)
wait_for numad "/proc/$!/comm"
out=$("$program" -c "$uri" -1 cpu 1 2>&1)
holds "a running numad is warned of" "$out" grep -q 'numad runs on this host' <<<"$out"
plan
