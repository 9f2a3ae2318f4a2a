# shellcheck shell=bash
# Rules left out, one at a time, of a copy of the sources: some test must fail.
# SCRIPT [-v] [PATTERN]: does just those that match, and says what failed.
# SCRIPT -n: asks only whether each would change something.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

[ "${1-}" = -v ] && verbose=yes && shift
[ "${1-}" = -n ] && asked=yes && shift
only=${1-.}
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT

slow_s=20 # a test that takes longer is never the first to be asked

# begin FOLDER TEST...: of the files to change; tests below build/tests, the quick ones first.
begin() {
	local failed
	area=$1
	shift
	tests=("$@")
	[ -z "${asked-}" ] || return
	cp -r Makefile vmbal.[ch] lib policy host report loop tests "$copy"
	failed=$(verdict "$copy/slow") || exit 1
	ok "$([ -z "$failed" ]; echo $?)" "with every rule in place all tests pass" "$failed"
}

# verdict [FILE]: says which test failed first, or nothing; fails where something does not compile.
# To FILE go those that are slow.
verdict() {
	local t out began
	for t in "${tests[@]}"; do
		make -s -C "$copy" CFLAGS='-O1 -w -fno-sanitize-recover' SAN=undefined \
			"build/tests/${t%% *}" >&2 || return
		began=$SECONDS
		# shellcheck disable=SC2086 # the words of $t are program and arguments
		out=$(cd "$copy" && CMOCKA_MESSAGE_OUTPUT=TAP STOP_AT_FAILURE=1 timeout 100 build/tests/$t 2>&1) && {
			[ $((SECONDS - began)) -lt $slow_s ] || echo "$t" >>"${1-/dev/null}"
			continue
		}
		echo "$t: $(grep -m1 '^not ok' <<<"$out" || echo "died")"
		return 0
	done
}

# ask_first TEST: what has seen one mutation is likely to see the next, which is close to it.
ask_first() {
	local t rest=()
	! grep -qxF -- "$1" "$copy/slow" 2>/dev/null || return
	for t in "${tests[@]}"; do
		[ "$t" = "$1" ] || rest+=("$t")
	done
	tests=("$1" "${rest[@]}")
}

# mutate NAME FILE SED: without it something must fail.  FILE is in the area's folder unless it
# names another.
mutate() {
	local file=$2 failed
	[[ $file = */* ]] || file=$area/$file
	[[ $1 =~ $only ]] || return
	sed -E "$3" "$file" >"$copy/changed"
	if cmp -s "$file" "$copy/changed"; then
		ok 1 "$1" "the sed changes nothing in $file"
		return
	elif [ -n "${asked-}" ]; then
		ok 0 "$1"
		return
	fi
	mv "$copy/changed" "$copy/$file"
	if ! failed=$(verdict); then
		ok 1 "$1" "does not compile"
	else
		ok "$([ -n "$failed" ]; echo $?)" "$1" "every test passes without it"
		[ -z "${verbose-}" ] || echo "# $failed"
		[ -z "$failed" ] || ask_first "${failed%%: *}"
	fi
	cp "$file" "$copy/$file"
}

# tune NAME TUNABLE VALUE: the same with another default for one of the policies' tunables.  What
# is compiled anew is the file that holds the defaults, not all that includes its header.
tune() {
	local header
	header=$(grep -lE "ROW\(\w+, $2, " policy/*_tunables.h)
	sed -E "s/(ROW\(\w+, $2, )[^,]*/\1$3/" "$header" >"$copy/tunables.inc"
	if cmp -s "$header" "$copy/tunables.inc"; then
		ok 1 "$1" "$2 is $3 already"
	else
		mutate "$1" "${header%.h}.c" 's/^#include "policy.*/#include "tunables.inc"/'
	fi
}
