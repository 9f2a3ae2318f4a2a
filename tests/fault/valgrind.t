#!/usr/bin/env bash
# valgrind finds no wrong access, no use of what was never set and no leak: in the program, and in
# what the policies and loops do over the simulated host.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

clean() { # NAME EXIT-STATUS COMMAND...
	local name=$1 status=$2 out got
	shift 2
	out=$(valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
		--child-silent-after-fork=yes "$@" 2>&1)
	got=$?
	holds "$name: exit $got" "$(grep -E '^==|^not ok' <<<"$out" | head -n 40)" test "$got" -eq "$status"
}

export CMOCKA_MESSAGE_OUTPUT=TAP
export SOAK_INTERVALS=4000 # within the soak's warm-up: valgrind's malloc does not tell what it holds
for t in build/tests/unit/test_* build/tests/fault/test_*; do
	# test_chain and test_starved go the others' ways ten thousand times: for the sanitizers alone.
	[[ $t = *.o || $t = */test_chain || $t = */test_starved ]] || clean "$(basename "$t")" 0 "$t"
done
clean "t_mem" 0 build/tests/sim/t_mem

# A plan for 10,000 vCPUs on 512 pCPUs is to take no more than 10 ms; `make bench` has the times.
millions=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=place_plan \
	build/tests/sim/t_cpu_scale 2>&1 | awk '/ plans, / { n += $2 } /Collected/ { x = $NF }
	END { print n ? int(x / n / 1e6) : "no" }')
within "a plan for 10,000 vCPUs: million instructions" "$millions" 1 45

clean "no libvirtd" 1 ./vmbal -c 'qemu+unix:///system?socket=/nonexistent/sock' --once cpu 1 mem 1
clean "wrong usage" 2 ./vmbal cpu nonsense
plan
