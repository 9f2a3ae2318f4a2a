#!/usr/bin/env bash
# lab/judge.sh, which judges the runs on real guests: its figures from a recording made up here.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=lab/judge.sh
. lab/judge.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2034 # of judge.sh: no recording must have ended
monitor=$$ events=$$

# frame T CPU-OF-a CPU-OF-b: two pCPUs that are told to be even, two guests of .6 and .4 CPU.
frame() {
	printf 'pcpu\t%s\t%d\t500\t600\n' "$1" 0 "$1" 1
	printf 'vcpu\t%s\t%s\t0\t0-1\t%d\t%d\t0\n' "$1" a "$2" 600 "$1" b "$3" 400
	printf 'mem\t%s\t%s\t524288\t204800\t102400\t-\t307200\t0\n' "$1" a "$1" b
	printf 'host\t%s\t1000\t0\n' "$1"
}

frame 100.5 0 0 >"$work/tsv"
for t in 1 2 3 4; do frame 10$t.5 0 1; done >>"$work/tsv"
within "imbalance of .6 beside .4 CPU" "$(imbalance 100 104)" 10 10
for t in 5 6 7 8; do frame 10$t.5 1 0; done >>"$work/tsv"
within "imbalance of guests that change places halfway" "$(imbalance 100 108)" 0 0
within "the worst 4 s of it" "$(imbalance 100 108 4)" 10 10
frame 109.5 0 0 >>"$work/tsv"
within "imbalance where an unpinned guest was seen beside the other" "$(imbalance 108 109)" 50 50
frame 109.6 1 0 >>"$work/tsv"
within "a short frame counts by its time" "$(imbalance 108 110)" 44 45
holds "no frame in the time: no figure" "" test -z "$(imbalance 200 210)"

cat >"$work/events" <<-'END'
	1970-01-01 00:01:43.000+0000: event 'tunable' for domain 'a':
		cputune.vcpupin0: 1
	1970-01-01 00:01:47.900+0000: event 'tunable' for domain 'a':
		cputune.vcpupin0: 0
END
within "pins since a moment" "$(pins 103)" 2 2
within "pins since a later one" "$(pins 104)" 1 1
within "seconds to the last" "$(last_pin 100)" 7 7
holds "no pin: no last one" "" test -z "$(last_pin 108)"

cpu_frame=$'  +7 s   imbalance 10.0   pins 1\npCPU 0     40.0  b:40\npCPU 1     60.0  a:60'
out=$(frames cpu 100 108 | tail -n 3)
holds "a frame of pCPUs" "$out" test "$out" = "$cpu_frame"
budget=1024
out=$(frames mem 100 108 | tail -n 3)
mem_frame=$'  +7 s         actual unused usable   host 424 left
a                 512    100    200
b                 512    100    200'
holds "a frame of guests' memory" "$out" test "$out" = "$mem_frame"
holds "a frame a second" "" test "$(frames cpu 100 108 | grep -c imbalance)" -eq 8

within "CPU beside the run" "$(noise '1000 100' '1300 300' 2)" 0.5 0.5
was=$(ticks)
for ((i = 0; i < 200000; i++)); do :; done
is=$(ticks)
holds "what this test itself uses is of the run" "$was, $is" test "${is#* }" -gt "${was#* }"
# shellcheck disable=SC2034
monitor=999999999
holds "no recording: no figure" "" test -z "$(imbalance 100 104 2>/dev/null)"
plan
