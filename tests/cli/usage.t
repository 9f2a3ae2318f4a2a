#!/usr/bin/env bash
# The command line: a table of arguments, exit status, and what is said where.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

# try STATUS STREAM PATTERN PROGRAM ARGUMENTS...
try() {
	local status=$1 stream=$2 pattern=$3 got out err
	shift 3
	err=$(mktemp)
	out=$("$@" 2>"$err" </dev/null)
	got=$?
	[ "$stream" = out ] || out=$(cat "$err")
	holds "$* -> $status" "exit $got, said: $out" \
		test "$got" -eq "$status" -a "$(grep -cE -- "$pattern" <<<"$out")" -ge 1
	if [ "$status" -eq 2 ]; then
		holds "... in one line" "$out" test "$(wc -l <"$err")" -eq 1
	fi
	rm -f "$err"
}

range="0\.1 to 86400"
nowhere='qemu+unix:///system?socket=/nonexistent/socket'

try 0 out 'usage: vmbal' ./vmbal --help
try 0 out 'usage: vmbal' ./vmbal -h
try 0 out '^vmbal [0-9]+\.[0-9]+\.[0-9]+$' ./vmbal -V
try 0 out '^with(out)? libxml2' ./vmbal -V
try 0 out '^vmbal [0-9]' ./vcpu_scheduler --version
for option in --help --version; do
	try 1 err "^vmbal: standard output: No space left" bash -c "./vmbal $option >/dev/full"
done

try 2 err "COMMAND.*cpu SECONDS" ./vmbal
try 2 err "unknown command 'disk'.*cpu SECONDS, mem SECONDS or restore" ./vmbal disk 5
try 2 err "unknown command 'CPU'" ./vmbal CPU 5
try 2 err "SECONDS after 'cpu'.*$range" ./vmbal cpu
try 2 err "SECONDS after 'mem'.*$range" ./vmbal cpu 2 mem
try 2 err "argument 'cpu'.*once" ./vmbal cpu 2 cpu 3
try 2 err "cpu SECONDS '0'.*$range" ./vmbal cpu 0
try 2 err "cpu SECONDS '0.09'.*$range" ./vmbal cpu 0.09
try 2 err "cpu SECONDS '86400.1'.*$range" ./vmbal cpu 86400.1
try 2 err "mem SECONDS '-1'.*$range" ./vmbal mem -1
try 2 err "cpu SECONDS '-v'.*$range" ./vmbal cpu -v
for bad in nan inf 1e3 0x10 '' ' 5' '5 ' 5s 1,5 . 1.2.3 +5 99999999999999999999999; do
	try 2 err "mem SECONDS '$(sed 's/[.+]/\\&/g' <<<"$bad")'.*$range" ./vmbal mem "$bad"
done
try 2 err "unknown option '--frob'.*must be one of" ./vmbal --frob cpu 5
try 2 err "unknown option '-x'" ./vmbal -x cpu 5
try 2 err "unknown option '-x'" ./vmbal -nxv cpu 5
try 2 err "option '--connect'.*value" ./vmbal --connect
try 2 err "option '-c'.*value" ./vmbal -c
for bad in 0 255 -5 x '' 1025T 4g 4GB '4 G' 1e3; do
	try 2 err "host-memory '$bad'.*from 256MiB to 1024TiB" ./vmbal -m "$bad" mem 5
	try 2 err "host-reserve '${bad/255/199}'.*from 200MiB to 1024TiB" ./vmbal --host-reserve "${bad/255/199}" mem 5
done
for bad in 0.9 11 x '' -2; do
	try 2 err "overcommit '$bad'.*from 1 to 10" ./vmbal --overcommit "$bad" mem 5
done
try 2 err "surplus 'me'.*host or guests" ./vmbal --surplus me mem 5

for bad in '' .prom /tmp/x x.prom/; do
	try 2 err "metrics '$bad'.*ends in .prom" ./vmbal --metrics "$bad" cpu 5
done

for bad in '' x 0- 3-1 4096 '0 1'; do
	try 2 err "cpus '$bad'.*list of pCPUs" ./vmbal --cpus "$bad" cpu 5
done
for bad in '' all Found; do
	try 2 err "allowed '$bad'.*defined or found" ./vmbal --allowed "$bad" cpu 5
done
for bad in '' !; do
	try 2 err "guests '$bad'.*shell pattern for names, or '!' and one" ./vmbal -g 'web-*' -g "$bad" cpu 5
done
mapfile -t many < <(printf -- '-g\n%s\n' {1..64})
try 2 err "guests 'x'.*64 times" ./vmbal "${many[@]}" -g x cpu 5
try 1 err "guests '1' '2' .*, cpu 1 s" ./vmbal "${many[@]}" -c "$nowhere" --once cpu 1
for option in --cpus=0 --allowed=found --grain=node --place-unpinned --restore; do
	for alone in "./vmbal $option mem 5" "./vmbal $option restore" "./memory_coordinator $option 5"; do
		# shellcheck disable=SC2086
		try 2 err "option '${option%=*}': is for cpu, which is not asked for" $alone
	done
done
for option in -m1G --host-reserve=1G --overcommit=2 --surplus=host; do
	for alone in "./vmbal $option cpu 5" "./vmbal $option restore" "./vcpu_scheduler $option 5"; do
		# shellcheck disable=SC2086
		try 2 err "option '--.*': is for mem, which is not asked for" $alone
	done
done
for option in -gx --once --metrics=x.prom; do
	try 2 err "option '--.*': is for cpu or mem, which is not asked for" ./vmbal $option restore
done
for bad in '' thread CPU; do
	try 2 err "grain '$bad'.*cpu, core, cache or node" ./vmbal --grain="$bad" cpu 5
done

try 2 err "unexpected argument '5'.*restore takes none" ./vmbal restore 5
try 2 err "unexpected argument 'restore'.*stands alone" ./vmbal cpu 5 restore 5
try 2 err "SECONDS 'restore'.*$range" ./vcpu_scheduler restore

try 2 err "SECONDS.*$range" ./vcpu_scheduler
try 2 err "SECONDS 'cpu'.*$range" ./vcpu_scheduler cpu 5
try 2 err "argument '7'.*only SECONDS" ./vcpu_scheduler 5 7
try 2 err "SECONDS.*$range" ./memory_coordinator
try 2 err "mem SECONDS 'x'.*$range" ./memory_coordinator x
try 2 err "argument 'mem'.*only SECONDS" ./memory_coordinator 5 mem

# The name is the last part of argv[0], and only the whole of it.
try 2 err "missing argument 'SECONDS'" bash -c 'exec -a /some/where/vcpu_scheduler ./vmbal'
try 2 err "missing argument 'COMMAND'" bash -c 'exec -a vcpu_scheduler2 ./vmbal'
try 2 err "missing argument 'COMMAND'" bash -c 'exec -a my_vcpu_scheduler ./vmbal'

# No libvirtd: a line that names the connection, and with --once the end.
try 1 err 'Failed to connect.*nonexistent' ./vmbal -c "$nowhere" --once cpu 1
try 1 err 'Failed to connect.*nonexistent' ./memory_coordinator -c "$nowhere" -1 1
try 1 err "guests all, .*allowed defined, .*surplus to the host, once" ./vmbal -c "$nowhere" --once cpu 1
try 1 err "guests 'web-\*' '!web-7', .*allowed found" ./vmbal -g 'web-*' --guests='!web-7' --allowed found -c "$nowhere" --once cpu 1
try 1 err 'surplus to the host, place unpinned, once' ./vmbal --place-unpinned -c "$nowhere" --once cpu 1 mem 1
try 1 err 'surplus to the host, place unpinned, once' ./vcpu_scheduler -c "$nowhere" --once 1
try 1 err 'surplus to the host, once' ./memory_coordinator -c "$nowhere" --once 1
try 1 err 'mem 1 s' ./vmbal -c "$nowhere" -1 mem 1 cpu 0.5
try 1 err 'nosuch:///system: .*(no connection driver|Unable|not supported|Failed to connect)' ./vmbal -c nosuch:///system --once cpu 1 mem 1

# What the host has nothing of ends the program, also without --once and in a dry run.
try 2 err "option '--cpus' '4000-4002': must name a pCPU that is online, of 0" ./vmbal -nq -c test:///default --cpus 4000-4002 cpu 60
try 2 err "option '--cpus' '4000'" ./vmbal -nq1 -c test:///default --cpus 4000 cpu 60
try 0 err "pCPUs 0,4000" ./vmbal -n -1 -c test:///default --cpus 0,4000 cpu 0.1

TZ=XYZ-05:30 try 1 err '^2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\+05:30 vmbal ' ./vmbal -c "$nowhere" --once cpu 1

# Without --once it keeps trying, says so once, and ends within a second of a signal.
./vmbal -c "$nowhere" cpu 0.2 mem 0.2 2>build/cli.log &
pid=$!
sleep 2.5
holds "it keeps trying" "" kill -0 $pid
begun=$(date +%s%N)
kill -TERM $pid
wait $pid
holds "SIGTERM: exit 0" "exit $?" test $? -eq 0
took=$((($(date +%s%N) - begun) / 1000000))
within "... soon, ms" $took 0 10000
holds "the failure is logged once" "$(cat build/cli.log)" \
	test "$(grep -c 'Failed to connect' build/cli.log)" -eq 1
plan
