#!/usr/bin/env bash
# A daemon that refuses, hangs up or never answers: said once, tried again and again, and a
# signal ends the program all the same.  No guests, no daemon.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
work=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon"; rm -rf "$work"' EXIT

# listen HOW: a socket that accepts, and is then mute or hangs up; counts who came.
listen() {
	perl -MIO::Socket::UNIX -e '
		my ($path, $how, $log) = @ARGV;
		my $s = IO::Socket::UNIX->new(Local => $path, Listen => 9) or die;
		open my $f, ">", $log or die;
		$f->autoflush(1);
		while (my $c = $s->accept) { print $f "1\n"; push @kept, $c if $how eq "mute" }' \
		"$work/socket" "$1" "$work/came" &
	daemon=$!
	until [ -S "$work/socket" ]; do sleep 0.05; done
}

hang_up() {
	kill "$daemon"
	wait "$daemon" 2>/dev/null
	daemon=
}

# try NAME: both loops for 4 s, then SIGTERM.
try() {
	local pid
	"$program" -c "qemu+unix:///system?socket=$work/socket" cpu 0.2 mem 1 2>"$work/log" &
	pid=$!
	sleep 4
	kill -TERM $pid
	timeout 10 tail --pid=$pid -f /dev/null || kill -KILL $pid
	wait $pid
	status=$?
	holds "$1: ended with 0" "$status: $(cat "$work/log")" test $status -eq 0
}


: >"$work/came"
try "nobody there"
within "nobody there: said" "$(grep -c 'Failed to connect' "$work/log")" 1 1

listen closing
try "hangs up"
within "hangs up: lines in the log" "$(wc -l <"$work/log")" 3 3 # settings, that, the signal
within "hangs up: attempts in 4 s" "$(wc -l <"$work/came")" 3 6
hang_up
try "refuses"
within "refuses: said" "$(grep -c 'Connection refused' "$work/log")" 1 1
rm "$work/socket"

listen mute
try "never answers"
within "never answers: attempts" "$(wc -l <"$work/came")" 1 1
holds "never answers: left in the midst of the call" "$(cat "$work/log")" \
	grep -q 'has not returned yet' "$work/log"
timeout 90 "$program" -c "qemu+unix:///system?socket=$work/socket" -1 cpu 1 2>"$work/log"
status=$?
holds "never answers, once: ends with 1 after a minute" "$status: $(cat "$work/log")" \
	test $status -eq 1
holds "... and says why" "$(cat "$work/log")" grep -q 'libvirt does not answer' "$work/log"
hang_up
plan
