#!/usr/bin/env bash
# Other compilers, dialects, word sizes, C libraries and versions of libxml2 than those at hand:
# every warning is an error.  `make portable` installs what this needs.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# compiles NAME MAKE-ARGUMENTS...
compiles() {
	local name=$1 out
	shift
	out=$(make -s -j2 "B=$work/$name" "$@" 2>&1)
	ok $? "$name compiles" "$(grep -v '^make' <<<"$out" | head -n 20)"
}

# runs NAME PROGRAM...: of that build, simulations without a failure.
runs() {
	local name=$1 t out
	shift
	for t; do
		out=$("$work/$name/$t" 2>&1)
		ok $? "$name: $t" "$(grep '^not ok' <<<"$out" || tail -n 3 <<<"$out")"
	done
}

# ---- dialects ----

compiles gcc-c11 objects CC=gcc STD=c11 CFLAGS='-O2 -Werror'
compiles gcc-c17 objects CC=gcc STD=c17 CFLAGS='-Werror -fsyntax-only'
compiles clang-c11 objects CC=clang STD=c11 CFLAGS='-Werror -fsyntax-only'
compiles clang-c17 objects CC=clang STD=c17 CFLAGS='-Werror -fsyntax-only'
compiles gcc-noxml objects CC=gcc XML=no CFLAGS='-O2 -Werror'
compiles clang-noxml objects CC=clang XML=no CFLAGS='-Werror -fsyntax-only'

# ---- libxml2, before and after its errors became const ----

xml=(lib/xml.o host/metadata.o host/topology.o)
for version in 20900 21200; do
	for cc in gcc clang; do
		compiles $cc-libxml-$version "${xml[@]/#/$work/$cc-libxml-$version/}" CC=$cc \
			XML_CFLAGS="-Itests/make -DSTUB_VERSION=$version" WITH_XML=yes \
			CFLAGS="-fsyntax-only -Werror=incompatible-pointer-types -Werror"
	done
done
for cc in gcc clang; do
	make -s "B=$work/wrong" "$work/wrong/lib/xml.o" CC=$cc WITH_XML=yes \
		XML_CFLAGS="-Itests/make -DSTUB_VERSION=20900 -DLIBXML_VERSION=21200" \
		CFLAGS="-fsyntax-only -Werror" >"$work/said" 2>&1
	holds "$cc: the stub tells the two apart" "$(cat "$work/said")" grep -q 'incompatible' "$work/said"
done

# ---- 32 bits ----

if [ "$(uname -m)" = x86_64 ]; then
	compiles m32 objects CC='gcc -m32' CFLAGS='-O2 -Werror -msse2 -mfpmath=sse'
	compiles m32-sim CC='gcc -m32' CFLAGS='-O2 -msse2 -mfpmath=sse' "$work/m32-sim/tests/sim/t_cpu" "$work/m32-sim/tests/sim/t_mem"
	runs m32-sim tests/sim/t_cpu tests/sim/t_mem
fi

# ---- another C library: all but what includes libvirt's headers ----

mapfile -t pure < <(grep -L 'host/virt_guests\.h' vmbal.c lib/*.c policy/*.c host/*.c report/*.c loop/*.c | sed "s,^,$work/musl/,; s/c\$/o/")
compiles musl CC=musl-gcc missing= XML=no CFLAGS='-O2 -Werror' "${pure[@]}"
compiles musl-sim CC=musl-gcc missing= XML=no CFLAGS=-O2 "$work/musl-sim/tests/sim/t_cpu" "$work/musl-sim/tests/sim/t_mem"
runs musl-sim tests/sim/t_cpu tests/sim/t_mem
plan
