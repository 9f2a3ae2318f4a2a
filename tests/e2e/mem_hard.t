#!/usr/bin/env bash
# vmbal mem on real guests: a growth faster than its interval, and demand beyond the host.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

begin 4 --max 2048 --start 512

# 40 MiB/s at an interval of 5 s, while the host has memory.
budget=4096
run_case mem 5
$lab load 2 mem 1200@40 >/dev/null
sleep 45
within "40 MiB/s: it got, MiB" "$(actual 2)" 1300 2048
safe "40 MiB/s" "$began"
end_case "40 MiB/s"
free_all
sleep 10

# More than the host has: nobody dies, the reserve holds, the shortfall is told.
budget=2816
run_case mem 2
$lab load all mem leave:64 700@15 >/dev/null
sleep 60
within "beyond the host: host memory left, MiB" "$(host_left "$began" "$(now)")" 200 "$budget"
holds "beyond the host: the shortfall is told" "$(show_log)" grep -qE 'shortfall [1-9]' "$work/log"
nobody_died
end_case "beyond the host"
plan
