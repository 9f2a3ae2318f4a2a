#!/usr/bin/env bash
# A guest with a DIMM that its kernel never brought online: what its balloon counts is more than it
# has. Linux leaves DIMMs offline unless it is told otherwise.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

begin 1 --max 1024 --dimm 512
until [ -n "$(actual 1)" ]; do sleep 1; done
within "its balloon counts the DIMM, MiB" "$(actual 1)" 1535 1536
start_vmbal -v -m 4096 mem 1
wait_size 1 at-most 1000 90
ok $? "what it does not use is taken of it, at last 1000 with the DIMM" "$(show_log)"
demand=$(grep -oE "$(guest 1) .*demand [0-9]+" "$work/log" | tail -n 1 | grep -oE '[0-9]+$')
within "its demand has no DIMM in it, MiB" "$demand" 50 300
fill 1 700@40 hold:30
wait_size 1 at-least 1330 60
ok $? "it is given what it grows to, beside the DIMM" "$(show_log)"
sleep 5
within "... in time: least usable, MiB" "$(least 5 "$(($(now) - 30))" "$(now)" "$(guest 1)")" 60 1024
stop_vmbal
nobody_died
plan
