#!/usr/bin/env bash
# A short form of make bench-traces, on made-up machines in the traces' format: ratios and counts.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/traces"

# 16 machines of 4 GiB, mostly small; now and then one needs a few hundred MiB more for a while.
for vm in {1..16}; do
	awk -v vm="$vm" 'BEGIN {
		srand(vm)
		print "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\tMemory capacity provisioned [KB];\tMemory usage [KB]"
		for (i = 0; i < 60; i++) {
			if (rand() < 0.1) high = high ? 0 : 200 + 600 * rand()
			printf "%d;\t2;\t4000.0;\t%f;\t%f;\t4194304.0;\t%f;\t0.0;\t0.0;\t0.0;\t0.0\n",
				1375308176 + 300 * i, 400, 10, 1024 * (200 + high)
		}
	}' >"$work/traces/$vm.csv"
done

out=$(build/tests/sim/traces -n 4 -m 40 "$work/traces" 2>&1)
ok $? "it reads the format" "$out"
echo "$out" | sed 's/^/# /'
factor() {
	awk -v name="$1" 'index($0, name) == 1 { sub(name, ""); print ($1 == ">") ? 99 : $1 }' <<<"$out"
}
holds "vmbal needs at most 1.2 times what a clairvoyant does" "" \
	awk -v x="$(factor vmbal)" 'BEGIN { exit !(x != "" && x <= 1.2) }'
for rule in "plain threshold" MOM Proxmox squeezed "each its own peak" "no ballooning"; do
	holds "$rule needs no less than vmbal" "$(factor "$rule")" \
		awk -v x="$(factor "$rule")" -v y="$(factor vmbal)" 'BEGIN { exit !(x != "" && x >= y) }'
done
holds "without ballooning it is more than twice as much" "" \
	awk -v x="$(factor "no ballooning")" -v y="$(factor vmbal)" 'BEGIN { exit !(x > 2 * y) }'

out=$(build/tests/sim/traces "$work" 2>&1)
holds "a folder without machines is an error" "$out" test $? -eq 1
plan
