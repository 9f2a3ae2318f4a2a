#!/usr/bin/env bash
# What guests of a running host do, under both loops: bursts, a pause, a reset while squeezed, one
# without a balloon driver, one that comes and goes.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

budget=3072

# asked GUEST: the sizes asked of it by vmbal, as libvirt's own log of the calls has them: "T KIB".
asked() {
	TZ=UTC awk -v g="$(guest "$1")" '/virDomainSetMemoryFlags:/ && index($0, "name=" g ",") {
		split($1, d, "-"); split($2, t, /[:.+]/); match($0, /memory=[0-9]+/)
		print mktime(d[1] " " d[2] " " d[3] " " t[1] " " t[2] " " t[3]), substr($0, RSTART + 7, RLENGTH - 7)
	}' "$work/api"
}

# below_use GUEST: how often it was asked for less than it used by the frame before.
below_use() {
	asked "$1" | awk -v g="$(guest "$1")" '
		FNR == NR { at[++n] = $1; kib[n] = $2; next }
		$1 == "mem" && $3 == g && $5 != "-" { for (i = 1; i <= n; i++) if ($2 < at[i]) use[i] = $4 - $5 }
		END { for (i = 1; i <= n; i++) bad += kib[i] < use[i]; print bad + 0 }' - "$work/tsv"
}

asked_since() { # GUEST T: how often
	asked "$1" | awk -v since="$2" '$1 >= since { n++ } END { print n + 0 }'
}

mem_reason() { # GUEST: why it got no command last
	grep -E "mem: .*$(guest "$1")\b" "$work/log" | tail -n 1
}

begin 4 --max 1024 --start 512
$lab up 1 --max 512 --driverless >"$work/up" 2>&1
ok $? "a guest without a balloon driver is up" "$(cat "$work/up")"
for i in 1 2 3 4; do
	$lab load $i cpu 20 >/dev/null
	$lab pin $i $(((i - 1) % pcpus)) >/dev/null
done
$lab pin 5 $((pcpus - 1)) >/dev/null
sleep 3
LIBVIRT_LOG_FILTERS=1:libvirt LIBVIRT_LOG_OUTPUTS="1:file:$work/api" run_case -v cpu 1 mem 2

# A burst of a third of an interval is no reason to pin, again and again. One as long as an interval
# is in two samples more often than not, 0.4 CPU in each, and then a new load as far as they tell.
for _ in 1 2 3 4; do
	$lab load 1 cpu 100 >/dev/null
	sleep 0.3
	$lab load 1 cpu 20 >/dev/null
	sleep 3
done
within "bursts of 0.3 s: pins" "$(pins "$began")" 0 2

# A load that stays is one: the two others leave its pCPU, or it theirs.
# Not at once: after the bursts its samples are known to wobble.
at=$(now)
$lab load 1 cpu 90 >/dev/null
for _ in $(seq 40); do
	[ "$(pins "$at")" -lt 1 ] || break
	sleep 1
done
sleep 8
within "a load that stays: pins" "$(pins "$at")" $((pcpus > 1)) 4
within "a load that stays: imbalance, points" "$(imbalance $(($(now) - 5)) "$(now)")" 0 28
$lab load 1 cpu 20 >/dev/null

# Paused: not one command; resumed: it gets what it then needs.
at=$(now)
virsh -q suspend "$(guest 2)" >/dev/null
sleep 8
within "paused: commands" "$(asked_since 2 $((at + 2)))" 0 0
virsh -q resume "$(guest 2)" >/dev/null
$lab load 2 mem 350@25 >/dev/null
wait_size 2 at-least 580 30
ok $? "resumed: it grows, MiB ($(actual 2))" "$(show_log)"

# A reset while squeezed: it boots on all its memory, whatever its balloon was.
squeezed=$(actual 3)
within "idle: it was squeezed, MiB" "$squeezed" 200 511
virsh -q reset "$(guest 3)" >/dev/null
sleep 3
booted=1
for _ in $(seq 30); do
	$lab ask 3 >/dev/null 2>&1 && booted=0 && break
	sleep 1
done
ok $booted "reset while squeezed: it boots" "$(show_log)"

# One comes and goes: it is served while it is there, and nobody else notices.
$lab load 2 mem 0@200 >/dev/null
$lab up 1 --max 640 >"$work/up" 2>&1
ok $? "a guest comes" "$(cat "$work/up")"
wait_size 6 at-most 480 60
ok $? "a guest that came: what it leaves idle is taken, MiB ($(actual 6))" "$(show_log)"
$lab load 6 mem 350@25 >/dev/null
wait_size 6 at-least 560 40
ok $? "a guest that came: it grows, MiB ($(actual 6))" "$(show_log)"
virsh -q destroy "$(guest 6)" >/dev/null
sleep 3
at=$(now)
$lab load 4 mem 350@25 >/dev/null
wait_size 4 at-least 580 30
ok $? "a guest went: the others are served, MiB ($(actual 4))" "$(show_log)"

# Its own policy, set as the man page says, is heeded at once and travels with the guest.
virsh -q metadata "$(guest 1)" --uri urn:vmbal:policy:1 --key vmbal \
	--set '<policy min="700MiB"/>' --live --config >/dev/null
wait_size 1 at-least 699 20
ok $? "metadata: a minimum of 700 MiB ($(actual 1))" "$(show_log)"
holds "metadata: in the persistent definition, too" "" \
	grep -q 'min="700MiB"' <(virsh dumpxml --inactive "$(guest 1)" | tr "'" '"')

within "no balloon driver: commands" "$(asked 5 | wc -l)" 0 0
holds "no balloon driver: the reason is told" "$(mem_reason 5)" grep -q no-driver <<<"$(mem_reason 5)"
for g in 1 2 3 4 6; do
	within "guest $g: asked for less than it uses, of $(asked $g | wc -l) times" "$(below_use $g)" 0 0
done
within "sizes asked for in all" "$(for g in 1 2 3 4 6; do asked $g; done | wc -l)" 5 200

kill -0 "$vmbal"
ok $? "vmbal is there"
stop_vmbal
holds "ended by SIGTERM with 0" "$(show_log)" test "$stopped" -eq 0
holds "nothing to complain of" "$(show_log)" \
	test "$(grep -cE 'Sanitizer|runtime error|bug:|references left' "$work/log")" -eq 0
virsh -q undefine "$(guest 6)" >/dev/null
dead=$($lab dead 2>&1 | grep -v "$(guest 6)")
holds "no guest died or killed a process" "$dead" test -z "$dead"
plan
