#!/usr/bin/env bash
# The simulated libvirt against the daemon, call by call: the same returns, the same errors.  A
# simulation that was laxer once hid a program that did nothing at all on a real host.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

begin 1 --max 512
build/tests/e2e/calls 'virsh -q destroy vmbal-lab-1 >/dev/null' >"$work/real"
ok $? "the calls are made"
build/tests/e2e/calls_fake >"$work/fake"
ok $? "... and of the simulation"
while IFS= read -r line; do
	grep -qxF -- "$line" "$work/fake"
	ok $? "$line" "the simulation: $(grep -F -- "${line%%:*}:" "$work/fake")"
done < <(grep -v '^--' "$work/real" | sort -u)
holds "in the same order" "$(diff "$work/real" "$work/fake")" cmp -s "$work/real" "$work/fake"
plan
