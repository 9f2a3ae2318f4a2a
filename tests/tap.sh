# shellcheck shell=bash disable=SC2034 # what the tests use
# A few words of the Test Anything Protocol, for the tests that are scripts.
tap_n=0
program=${PROGRAM:-./vmbal} # another build of it, such as one with sanitizers

# While $open says what is known to fall short, a failure is told as a TODO, which fails no run.
open=

# ok STATUS NAME [DETAIL]: one result; STATUS 0 is good.
ok() {
	tap_n=$((tap_n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_n - $2"
	else
		echo "not ok $tap_n - $2${open:+ # TODO $open}"
		[ -z "${3-}" ] || sed 's/^/# /' <<<"$3"
	fi
}

# holds NAME DETAIL COMMAND...: the command succeeds.
holds() {
	local name=$1 detail=$2
	shift 2
	if "$@"; then ok 0 "$name"; else ok 1 "$name" "$detail"; fi
}

# within NAME VALUE MIN MAX: a number lies in a range; the number is shown either way.
within() {
	if awk -v x="$2" -v a="$3" -v b="$4" 'BEGIN { exit !(x != "" && x >= a && x <= b) }'; then
		ok 0 "$1 ($2, wanted $3..$4)"
	else
		ok 1 "$1 ($2, wanted $3..$4)"
	fi
}

plan() {
	echo "1..$tap_n"
}
