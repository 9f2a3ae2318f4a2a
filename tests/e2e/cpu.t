#!/usr/bin/env bash
# vmbal cpu 2 on real guests: the cases of the public course suite, with full and light loads.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

n=$((pcpus > 4 ? 2 * pcpus : 8))
last_pcpu=$((pcpus - 1))

begin "$n" --max 256

loads() { # PERCENT of guest 1, 2, ...: given ones are repeated
	local i given=("$@") began=()
	for ((i = 0; i < n; i++)); do
		$lab load $((i + 1)) cpu "${given[$((i % $#))]}" >/dev/null &
		began+=($!)
	done
	wait "${began[@]}"
}

pin_range() { # FIRST LAST CPULIST
	local i began=()
	for ((i = $1; i <= $2; i++)); do
		$lab pin "$i" "$3" >/dev/null &
		began+=($!)
	done
	wait "${began[@]}"
}

all_on_first() { pin_range 1 "$n" 0; }
all_free() { pin_range 1 "$n" r; }
in_turn() {
	local c
	for ((c = 0; c < pcpus; c++)); do
		pin_range $((c * n / pcpus + 1)) $(((c + 1) * n / pcpus)) $c
	done
}
# Two crowds: half and half, or three to one where there are just two pCPUs.
two_crowds() {
	local cut=$((pcpus > 2 ? n / 2 : n * 3 / 4))
	pin_range 1 $cut 0
	pin_range $((cut + 1)) "$n" $last_pcpu
}

# measure NAME SETUP: sets up, runs vmbal, and leaves the figures in $made, $late, $reached.
measure() {
	local began calm ended
	$2
	sleep 4 # loads, and where the kernel puts what floats, come to rest
	began=$(now)
	start_vmbal cpu 2
	sleep "$settle"
	calm=$(now)
	sleep "$judged"
	ended=$(now)
	stop_vmbal
	late=$(pins "$calm")
	made=$(($(pins "$began") - late))
	reached=$(spread "$calm" "$ended" "$load")
	echo "# $1: spread $(spread $((began - 3)) "$began" "$load") -> $reached points, $made + $late pins"
}

is_good() { # MOST-PINS
	awk -v s="$reached" -v pins="$made" -v most="$1" -v late="$late" \
		'BEGIN { exit s == "" || s > 5 || pins > most || late > 0 }'
}

# case_of NAME MOST-PINS SETUP: judged again where something else used the machine meanwhile, which
# nobody can rule out; a policy that fails, fails each time.
case_of() {
	local try

	measure "$1" "$3"
	for try in 2 3 4; do
		is_good "$2" && break
		show_log
		measure "$1, try $try" "$3"
	done
	holds "$1: ended by SIGTERM with 0" "" test "$stopped" -eq 0
	within "$1: spread, points" "$reached" 0 5
	within "$1: pins" "$made" 0 "$2"
	within "$1: pins once balanced" "$late" 0 0
}

# What leaves the first pCPU when n like guests are on it and P share them.
leave=$((n - n / pcpus))

# Within "settle" all pins are to be made; over "judged", both in seconds, balance is judged and no
# pin is made.
settle=12
judged=14
load=all # what is similar in the end; but full pCPUs are full in any case, and judged by guests' use
loads 10 11 12 13 14 15
case_of "light, all on one" $leave all_on_first
case_of "light, two crowds" $((pcpus > 2 ? n - 2 * n / pcpus : n / 4 + 1)) two_crowds
settle=0 case_of "light, balanced" 0 in_turn
case_of "light, unpinned" "$n" all_free

loads 20 9
case_of "light, unpinned, heavy and light" "$n" all_free

load=guests
loads 36 9
case_of "heavy and light on one" $leave all_on_first
for ((c = 0; c < pcpus; c++)); do
	heavy=0
	for g in $(on_pcpu $c); do
		heavy=$((heavy + ${g##*-} % 2))
	done
	within "heavy and light on one: heavy guests on pCPU $c" $heavy \
		$((n / 2 / pcpus)) $(((n / 2 + pcpus - 1) / pcpus))
done

settle=10
judged=10
loads 100
case_of "full, all on one" $leave all_on_first
settle=0 case_of "full, balanced" 0 in_turn
case_of "full, unpinned" "$n" all_free
loads 100 25
case_of "full, unpinned, heavy and light" "$n" all_free
plan
