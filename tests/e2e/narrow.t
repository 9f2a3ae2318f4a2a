#!/usr/bin/env bash
# Guests pinned to one crowded pCPU of a bin that idles otherwise: widened to the bin, once.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "$pcpus" -lt 2 ]; then
	echo "1..0 # SKIP two pCPUs are needed"
	exit
fi
n=3
whole=0-$((pcpus - 1))

# What the guests get done in 5 s, in their own count.
work_of_5s() {
	local g before=0 after=0
	for ((g = 1; g <= n; g++)); do before=$((before + $(work "$g"))); done
	sleep 5
	for ((g = 1; g <= n; g++)); do after=$((after + $(work "$g"))); done
	echo $((after - before))
}

work() { $lab ask "$1" | sed -E 's/.*work=([0-9]+).*/\1/'; }

masks() { # CPULIST: how many guests' vCPUs have it
	local g count=0
	for ((g = 1; g <= n; g++)); do
		[ "$(virsh vcpupin "$(guest "$g")" | awk '$1 == 0 { print $2 }')" != "$1" ] || count=$((count + 1))
	done
	echo $count
}

begin $n --max 256 --pin 0
export RUNTIME_DIRECTORY=$work/run
$lab load all cpu 60 >/dev/null
sleep 2
before=$(work_of_5s)
start_vmbal --grain node cpu 1
sleep 8
within "guests with the whole bin" "$(masks "$whole")" $n $n
after=$(work_of_5s)
within "their work, % of what it was" $((100 * after / before)) 125 300
within "pins" "$(grep -c ": waits in a mask narrower than its bin: " "$work/log")" $n $n
$lab pin 1 0
sleep 8
within "a part that somebody gives one again stays" "$(masks 0)" 1 1
within "... without another pin" "$(grep -c 'cpu: pin ' "$work/log")" $n $n
stop_vmbal
holds "ended by SIGTERM with 0" "$(show_log)" test "$stopped" -eq 0
"$program" restore 2>"$work/log"
within "restored" "$(masks 0)" $n $n
nobody_died
plan
