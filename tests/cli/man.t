#!/usr/bin/env bash
# The man page tells the truth: its thresholds are those of the code, its options those of --help.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

page=man/vmbal.8

# The first number of a constant's definition, such as 64 of "#define FLOOR_KIB (64 * MIB)".
in_code() {
	cat policy/*.c vmbal.h | grep -hE "^#define[ 	]+$1[ 	]|^[ 	]*\.$1 =" |
		sed -E "s/.*$1[ 	=]*//; s,/\*.*,," | grep -oE '[0-9.]+' | head -n 1
}

while IFS='|' read -r name value; do
	code=$(in_code "$name")
	number=$(grep -oE '^[0-9.]+' <<<"$value")
	case $value in *%*) code=$(awk -v x="$code" 'BEGIN { print x * 100 }') ;; esac
	holds "$name is $value" "the code says '$code'" \
		awk -v a="$code" -v b="$number" 'BEGIN { exit !(a != "" && b != "" && a == b) }'
done < <(sed -nE 's/^\.It Dv ([A-Za-z0-9_]+) Ta ("?)([^"]*[^" ])"? Ta .*/\1|\3/p' $page | sed 's/ Ta .*//')

holds "thresholds were found" "$tap_n" test "$tap_n" -ge 30

while read -r short long; do
	holds "option $short, $long is explained" "" \
		grep -qE "^\.It Fl ${short#-} , -${long#--}( |\$)" $page
done < <(./vmbal --help | sed -nE 's/^ +(-.), (--[a-z-]+).*/\1 \2/p')

for long in $(./vmbal --help | sed -nE 's/^ {6}(--[a-z-]+).*/\1/p'); do
	holds "option $long is explained" "" grep -qE "^\.It Fl ${long#-}( |\$)" $page
done

while read -r reason; do
	holds "reason '$reason' is explained" "" grep -q -- "$reason" $page
done < <(grep -ohE '\[(MEM|CPU|VCPU)_[A-Z_]+\] = "[a-z: -]+"' policy/*.c | cut -d'"' -f2)

while read -r metric; do
	holds "metric $metric is explained" "" grep -qE "vmbal_$metric( |\$)" $page
done < <(grep -oE '"[a-z]+_[a-z_]+_(total|cpus|ratio|bytes|state)"' host/metrics.c | tr -d '"' | sort -u)
plan
