#!/usr/bin/env bash
# Scenario files: what is wrong in one is said with its line and what is valid.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

file=$(mktemp) || exit 1
trap 'rm -f "$file"' EXIT

while IFS='|' read -r text message; do
	printf '%b\n' "$text" >"$file"
	said=$(build/tests/sim/t_cpu "$file" 2>&1)
	status=$?
	holds "'$text' is refused: $message" "$status: $said" \
		test "$status" -eq 2 -a -z "${said##*"$message"*}"
done <<'EOT'
pcpus 0|line 1: pcpus: valid is pcpus 1..64
pcpus 65|line 1: pcpus: valid is pcpus 1..64
pcpus 3 threads|line 1: pcpus: valid is pcpus 1..64 [threads] [nodes N], once, threads in pairs
pcpus 4\npcpus 4|line 2: pcpus: valid is
guests a 1 load 1 on 0|line 1: guests: valid is guests NEW_NAME 1..64 load LOAD
pcpus 4\n# why\nguests a 1 load 1.5 on 0|line 3: guests: valid is
pcpus 4\nguests a 1 load 1 on 4|line 2: guests: valid is
pcpus 4\nguests a 1 on 0|line 2: guests: valid is
pcpus 4\nguests all 1 load 1|line 2: guests: valid is
pcpus 4\nguests a 64 load 1 vcpus 16\nguests b 1 load 1|line 3: guests: valid is
pcpus 4\nguests a 1 load 1\nat 0 end a|line 3: at: valid is at 1..20000 load|
pcpus 4\nguests a 1 load 1\nat 1 end b|line 3: at: valid is
pcpus 4\nguests a 1 load 1\nat 1 explode a|line 3: at: valid is
pcpus 4\nguests a 1 load 1\nexpect pins = 6|line 3: expect: valid is expect FIGURE
pcpus 4\nguests a 1 load 1\nexpect pins < 6 in 1-5|line 3: expect: valid is
pcpus 4\nguests a 1 load 1\nexpect pins = 6 in 5-1|line 3: expect: valid is
seeds 0|line 1: seeds: valid is seeds 1..100
sticky 2|line 1: sticky: valid is sticky 0..1
load 1|line 1: load: valid is pcpus, seeds,
pcpus 4\nguests a 1 load 1|a scenario has guests and expects something
EOT

# An expectation that is not met fails.
printf 'pcpus 4\nguests hogs 8 load 1 on 0\nexpect pins = 5 in 1-9\nexpect pins >= 7 in 1-9\n' >"$file"
said=$(build/tests/sim/t_cpu "$file")
holds "6 pins are neither 5 nor 7" "$said" \
	test "$?,$(grep -c '^not ok .* 6$' <<<"$said")" = 1,2
plan
