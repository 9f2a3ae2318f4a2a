#!/usr/bin/env bash
# Heavy and light guests, on one pCPU, where they look alike by what they use, and unpinned, beside
# a libvirt that does not tell how long they wait: vmbal reads it from their processes in /proc.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -shared -fPIC -D_GNU_SOURCE -o "$work/no-delay.so" tests/e2e/no-delay.c || exit 1
cat >"$work/vcpu_scheduler" <<-END
	#!/bin/bash
	LD_PRELOAD=$work/no-delay.so exec ./vcpu_scheduler "\$@" 2> >(tee -a "$work/log" >&2)
END
chmod +x "$work/vcpu_scheduler"

PROGRAM=$work/vcpu_scheduler tests/e2e/cpu.t mixed 5 | tee "$work/tap" | grep -v '^1\.\.'
tap_n=$(grep -cE '^(not )?ok ' "$work/tap")
log=$(cat "$work/log")
holds "libvirt does not tell, and that is said" "$log" grep -q 'this is read from /proc' <<<"$log"
holds "vCPUs are known to wait" "$log" grep -qE 'pin vmbal-lab-.* wait 0\.[1-9]' <<<"$log"
plan
