# shellcheck shell=bash
# Rules left out, one at a time, of a copy of the sources: some test must fail.
# SCRIPT [-v] [PATTERN]: does just those that match, and says what failed.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

[ "${1-}" = -v ] && verbose=yes && shift
only=${1-.}
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT

# begin FOLDER TEST...: of the files to change; tests below build/tests, the quick ones first.
begin() {
	local failed
	area=$1
	shift
	tests=("$@")
	cp -r Makefile vmbal.[ch] policy host tests "$copy"
	failed=$(verdict) || exit 1
	ok "$([ -z "$failed" ]; echo $?)" "with every rule in place all tests pass" "$failed"
}

# Says which test failed first, or nothing; fails where something does not compile.
verdict() {
	local t out
	for t in "${tests[@]}"; do
		make -s -C "$copy" CFLAGS='-O1 -w -fno-sanitize-recover' SAN=undefined \
			"build/tests/${t%% *}" >&2 || return
		# shellcheck disable=SC2086 # the words of $t are program and arguments
		out=$(cd "$copy" && CMOCKA_MESSAGE_OUTPUT=TAP timeout 60 build/tests/$t 2>&1) && continue
		echo "$t: $(grep -m1 '^not ok' <<<"$out" || echo "died")"
		return 0
	done
}

# mutate NAME FILE SED: without it something must fail.
mutate() {
	local file=$area/$2 failed
	[[ $1 =~ $only ]] || return
	sed -E "$3" "$file" >"$copy/$file"
	if cmp -s "$file" "$copy/$file"; then
		ok 1 "$1" "the sed changes nothing in $file"
	elif ! failed=$(verdict); then
		ok 1 "$1" "does not compile"
	else
		ok "$([ -n "$failed" ]; echo $?)" "$1" "every test passes without it"
		[ -z "${verbose-}" ] || echo "# $failed"
	fi
	cp "$file" "$copy/$file"
}
