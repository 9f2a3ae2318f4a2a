#!/usr/bin/env bash
# What kind of memory guests have, by libvirt's own definitions: where its test of lock limits says
# that memory is locked, we do; on all other domains of its tests another reader of XML agrees.
# The source package comes from Debian, whose version is that of the machine's.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
kinds=$PWD/build/tests/make/kinds reader=$PWD/tests/make/kinds.py

# Sources from where this machine has its packages, in the one form of such lists or the other.
fetch() {
	local from sources options
	from=$(find /etc/apt -name debian.sources -o -name sources.list | sort | head -n 1)
	sources=$work/source.${from##*.}
	sed 's/^Types: .*/Types: deb-src/; s/^deb /deb-src /' "$from" >"$sources"
	mkdir "$work/lists"
	options=(-qq -o "Dir::Etc::sourcelist=$sources" -o Dir::Etc::sourceparts=/dev/null
		-o "Dir::State::lists=$work/lists")
	(cd "$work" && { apt-get "${options[@]}" update; } &&
		timeout 300 apt-get "${options[@]}" source --download-only libvirt && tar xf libvirt_*.orig.tar.?z) >"$work/out" 2>&1
}

if ! [ -x "$kinds" ]; then
	echo "1..0 # SKIP this build reads no XML"
	exit 0
elif ! fetch; then
	echo "1..0 # SKIP no source package of libvirt: $(tail -n 1 "$work/out")"
	exit 0
fi
cd "$work"/libvirt-*/tests || exit 1

# Its limit is that of the hard limit where there is one; a POWER host's, for page tables of KVM.
while IFS=' ' read -r name limit; do
	case $name in
	*hardlimit*) expected=0 && [[ $name != *locked* && $name != *hostdev* ]] || expected=1 ;;
	pseries-kvm) expected=0 ;;
	*) expected=1 && [ "$limit" != 0 ] || expected=0 ;;
	esac
	said=$("$kinds" <<<"qemumemlockdata/qemumemlock-$name.xml")
	holds "lock limit of $name: $limit" "$said" grep -q " locked=$expected " <<<"$said"
done < <(sed -nE 's/^ *DO_TEST\("([^"]+)", ([^)]+)\);/\1 \2/p' qemumemlocktest.c)
holds "these were found" "" test "$tap_n" -ge 15

mapfile -t files < <(find . -name '*.xml' -print0 | xargs -0 grep -lE '^<domain[ >]' | sort)
holds "domains of its other tests were found (${#files[@]})" "" test "${#files[@]}" -ge 1000
ours=$(printf '%s\n' "${files[@]}" | "$kinds")
theirs=$(printf '%s\n' "${files[@]}" | python3 "$reader" 2>&1)
unread=$(grep -c ' unread$' <<<"$ours")
holds "nearly all are well-formed ($unread are not)" "" test "$unread" -le 10
holds "both readers say the same of each" "$(diff <(echo "$ours") <(echo "$theirs") | head -n 40)" test "$ours" = "$theirs"
for kind in locked=1 huge=[1-9] dimm=[1-9] other=[1-9]; do
	holds "... some have $kind" "" grep -q " $kind" <<<"$ours"
done
plan
