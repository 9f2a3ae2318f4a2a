# shellcheck shell=bash disable=SC2034 # work: the caller's; what is left for it
# The cases of the public course suite, each described once: for the tests and for lab/case.
# shellcheck source=lab/judge.sh
. lab/judge.sh

lab=lab/lab
guests='vmbal-lab-*'
pcpus=$(nproc)
vmbal=

guest() { echo "vmbal-lab-$1"; }

now() {
	date +%s
}

# start_as NAME ARGUMENTS...: runs vmbal, or the build of it in $PROGRAM, by one of its names.
start_as() {
	local name=$1
	shift
	(exec -a "$name" "${PROGRAM:-./$name}" -g "$guests" "$@") 2>"$work/log" &
	vmbal=$!
}

# Ends vmbal as an operator would.
stop_vmbal() {
	kill -TERM "$vmbal"
	wait "$vmbal"
	stopped=$?
	vmbal=
}

# ---- CPU: guests of one vCPU, some for each pCPU ----

cpu_guests=$((pcpus > 4 ? 2 * pcpus : (8 + pcpus - 1) / pcpus * pcpus))
interval_s=2
settle_s=12 # until then all is to be even; and from then on, for
judged_s=16

light=(10 11 12 13 14 15) # per cent of a CPU that guests 1, 2, ... use, given ones repeated
light_uneven=(20 9)
full=(100)
full_uneven=(100 25)

# cpu_case CASE [full]: of it, what it is, where guests begin, what they do, and the pins it needs.
cpu_case() {
	local leave=$((cpu_guests - cpu_guests / pcpus)) two=$((pcpus > 1 ? 2 : 1))

	switch_to=()
	loads=("${light[@]}")
	[ "${2-}" != full ] || loads=("${full[@]}")
	case $1 in
	1)
		about="all guests on pCPU 0, similar loads"
		place=all_on_first
		most_pins=$leave
		;;
	2)
		about="half of the guests on pCPU 0, half on the last, similar loads"
		place=two_crowds
		most_pins=$((cpu_guests - two * (cpu_guests / pcpus)))
		;;
	3)
		about="as many guests on each pCPU, similar loads"
		place=in_turn
		most_pins=0
		;;
	4)
		about="all guests unpinned, similar loads"
		place=all_free
		most_pins=$cpu_guests
		;;
	5)
		about="all guests unpinned, every other one heavy"
		place=all_free
		loads=("${light_uneven[@]}")
		[ "${2-}" != full ] || loads=("${full_uneven[@]}")
		most_pins=$cpu_guests
		;;
	mixed)
		about="all guests on pCPU 0, every other one heavy, more than a pCPU together"
		place=all_on_first
		loads=(36 9)
		most_pins=$leave
		;;
	idle)
		about="all guests unpinned, no load at all"
		place=all_free
		loads=(0)
		most_pins=0
		;;
	switch)
		about="as many guests on each pCPU; later those of the first half of the pCPUs become heavy"
		place=in_turn
		# Far enough apart for a machine that runs a third faster than when the lab measured it:
		# 15 and 11 per cent, as 20 and 9 became there, are not worth an exchange (migration_cost).
		loads=(9)
		switch_to=(24)
		most_pins=$((cpu_guests / 2))
		;;
	*) return 1 ;;
	esac
}

# begin_loads FIRST LAST PERCENT...
begin_loads() {
	local i given=("${@:3}") started=()
	for ((i = $1; i <= $2; i++)); do
		$lab load "$i" cpu "${given[$(((i - 1) % ${#given[@]}))]}" >/dev/null &
		started+=($!)
	done
	wait "${started[@]}"
}

pin_range() { # FIRST LAST CPULIST
	local i started=()
	for ((i = $1; i <= $2; i++)); do
		$lab pin "$i" "$3" >/dev/null &
		started+=($!)
	done
	wait "${started[@]}"
}

all_on_first() { pin_range 1 "$cpu_guests" 0; }
all_free() { pin_range 1 "$cpu_guests" r; }
in_turn() {
	local c share=$((cpu_guests / pcpus))
	for ((c = 0; c < pcpus; c++)); do
		pin_range $((c * share + 1)) $(((c + 1) * share)) $c
	done
}
two_crowds() {
	local half=$((cpu_guests / 2))
	pin_range 1 $half 0
	pin_range $((half + 1)) "$cpu_guests" $((pcpus - 1))
}

# cpu_run: runs the case that cpu_case has told of.  It leaves
#   before, reached, worst   imbalance before, over the judged time, in the worst 5 s of that; points
#   made, late               pins until all had to be even, and after
#   last_s                   seconds from the start, or the switch of loads, to the last pin
#   noise                    CPUs that what is not of the case took, from the start to the end
cpu_run() {
	$place
	begin_loads 1 "$cpu_guests" "${loads[@]}"
	sleep 5 # loads, and where the kernel puts what is unpinned, come to rest
	began=$(now)
	ticks=$(ticks)
	changed=$began
	start_as vcpu_scheduler "$interval_s"
	if ((${#switch_to[@]})); then
		sleep $((5 * interval_s))
		begin_loads 1 $((cpu_guests / 2)) "${switch_to[@]}"
		changed=$(now)
	fi
	sleep $settle_s
	calm=$(now)
	sleep $judged_s
	ended=$(now)
	stop_vmbal
	late=$(pins "$calm")
	made=$(($(pins "$began") - late))
	last_s=$(last_pin "$changed")
	before=$(imbalance $((began - 4)) "$began")
	reached=$(imbalance "$calm" "$ended")
	worst=$(imbalance "$calm" "$ended" 5)
	noise=$(noise "$ticks" "$(ticks)" $((ended - began)))
}

cpu_figures() {
	echo "imbalance $before -> $reached points (worst 5 s: $worst); $made pins${last_s:+, the last after $last_s s}," \
		"and $late once even; beside the case: $noise CPU"
}

# ---- memory: a lab host of 4 GiB leaves room for some of the guests to grow, not for all ----

mem_guests=4
mem_max=2048 # MiB
mem_start=512
budget=4096

actual() { last 4 "$(guest "$1")"; }

fill() { # GUEST STEP...
	$lab load "$1" mem "${@:2}" >/dev/null
}

mem_about() { # CASE
	case $1 in
	1) echo "guest 1 grows by 40 MiB/s and then frees, the others idle" ;;
	2) echo "all guests grow by 8 MiB/s, then all free" ;;
	3) echo "all guests grow by 8 MiB/s; then 1 and 2 free while 3 and 4 go on growing, by 20 MiB/s" ;;
	*) return 1 ;;
	esac
}

# mem_stage CASE STAGE: returns when the guests have done it; 1 if the case has no such stage.
mem_stage() {
	case $1.$2 in
	1.1)
		fill 1 700@40 hold:5 0@100
		sleep 24
		;;
	2.1 | 3.1)
		fill all 320@8
		sleep 44
		;;
	2.2)
		fill all 0@100
		sleep 5
		;;
	3.2)
		fill 1 0@100
		fill 2 0@100
		fill 3 700@20 hold:5 0@100
		fill 4 700@20 hold:5 0@100
		sleep 24
		;;
	*) return 1 ;;
	esac
}

quiet=35 # seconds without a command: a growth is kept for 30 s, and then given back in steps

# wait_quiet: until no guest's size has moved for $quiet seconds; 300 s at most.
wait_quiet() {
	local _
	for _ in $(seq 300); do
		sleep 1
		[ "$(now)" -ge $((began + quiet)) ] || continue
		[ "$(balloon_changes $(($(now) - quiet)) "$(now)")" -gt 0 ] || return 0
	done
	return 1
}
