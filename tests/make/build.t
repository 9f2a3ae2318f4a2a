#!/usr/bin/env bash
# `make` and `make install` on machines that lack something: libxml2, pkg-config, bash, hard
# links; or a compiler, headers: then one line that names the packages, and nothing else.
# What lacks is hidden from the real build by mounts of a namespace, which takes root.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

[ "$(id -u)" -eq 0 ] || {
	echo "1..0 # SKIP needs root"
	exit 0
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cp -r Makefile vmbal.[ch] lib policy host report loop man contrib "$work"
mkdir "$work/empty"

# Each name of a command, a command behind a link, too; headers and pkg-config's files of a library.
commands() {
	local name path
	for name; do
		for path in /usr/local/bin/"$name" /usr/bin/"$name"; do
			[ ! -e "$path" ] || readlink -f "$path"
		done
	done
}
mapfile -t libxml2 < <(find /usr/include/libxml2 /usr/lib /usr/share -maxdepth 3 -name libxml-2.0.pc -o -path /usr/include/libxml2)
mapfile -t libvirt < <(find /usr/include/libvirt /usr/lib /usr/share -maxdepth 3 -name libvirt.pc -o -path /usr/include/libvirt)

# without PATH... -- COMMAND...: a file is not there, or at least of no use, a folder is empty.
without() {
	local -a hidden=()
	while [ "$1" != -- ]; do
		hidden+=("$1")
		shift
	done
	shift
	# shellcheck disable=SC2016 # for the inner shell
	PATH=/usr/bin:/bin:/usr/sbin unshare --mount /bin/sh -c '
		empty=$1
		shift
		while [ "$1" != -- ]; do
			if [ -d "$1" ]; then mount --bind "$empty" "$1"; else mount --bind /dev/null "$1"; fi
			shift
		done
		shift
		cd "$empty/.." && exec "$@"' - "$work/empty" "${hidden[@]}" -- "$@" 2>&1
}
quick="CFLAGS=-O0 -Werror"

# ---- libvirt's headers and nothing else ----

mapfile -t poor < <(commands pkg-config pkgconf bash)
out=$(without "${libxml2[@]}" "${poor[@]}" -- make -j2 "$quick")
ok $? "make, without libxml2, pkg-config and bash" "$out"
holds "... one line says what it is, and what a package would add" "$out" \
	test "$(grep -cE 'without libxml2: libxml2-dev .* libxml2-devel .*without pkg-config .*pkgconf' <<<"$out")" -eq 1
holds "... and no warning" "$out" test "$(grep -ciE 'warning|error:|not found' <<<"$out")" -eq 0
for name in vmbal vcpu_scheduler memory_coordinator; do
	holds "... $name is there, and says it, too" "$("$work/$name" -V)" \
		grep -q '^without libxml2: .*left alone' <("$work/$name" -V)
done
holds "... and needs no libxml2" "$(ldd "$work/vmbal")" \
	test "$(readelf -d "$work/vmbal" | grep -c 'NEEDED.*xml')" -eq 0
out=$(without "${libxml2[@]}" -- make -s all "$quick")
holds "make all: not built anew, and one line" "$out" test "$(wc -l <<<"$out")" -eq 1
out=$(cd "$work" && make -s -j2 "$quick" 2>&1)
holds "libxml2 is used once it is there" "$out" grep -q '^with libxml2' <("$work/vmbal" -V)
out=$(cd "$work" && make -s -j2 XML=no "$quick" 2>&1)
holds "... unless told not to, which the line says" "$out" grep -q 'without libxml2, as XML=no says' <<<"$out"
holds "... and -V" "$out" grep -q '^without libxml2' <("$work/vmbal" -V)

# ---- what it cannot do without ----

# one_line NAME PATTERN: all that was said.
one_line() {
	holds "$1: make fails" "$out" test $status -ne 0
	holds "... one line, with the packages" "$out" test "$(wc -l <<<"$out")" -eq 1 -a \
		"$(grep -cE "$2" <<<"$out")" -eq 1
}

rm -rf "$work/build" "$work/vmbal"
mapfile -t compilers < <(commands cc)
out=$(without "${compilers[@]}" -- make)
status=$?
one_line "no compiler" 'apt install gcc .*dnf install gcc '
out=$(without "${libvirt[@]}" -- make -j2 all)
status=$?
one_line "no libvirt" 'apt install libvirt-dev .*dnf install libvirt-devel'
out=$(without "${libvirt[@]}" "${poor[@]}" -- make)
status=$?
one_line "neither libvirt nor pkg-config" 'apt install libvirt-dev .*dnf install libvirt-devel .*pkg-config.*pkgconf-pkg-config'
out=$(without /usr/include -- make)
status=$?
one_line "no C library" 'apt install libc6-dev .*dnf install glibc-devel'
out=$(without "${libvirt[@]}" "${compilers[@]}" -- make -s clean help)
ok $? "... what compiles nothing needs nothing" "$out"

# A libvirt elsewhere is found through pkg-config alone.
mkdir -p "$work/elsewhere/bin"
cp -r /usr/include/libvirt "$work/elsewhere"
cat >"$work/elsewhere/bin/pkg-config" <<'END'
#!/bin/sh
case "$*" in
"--cflags libvirt") echo "-I$(dirname "$0")/.." ;;
"--libs libvirt") echo -lvirt ;;
*) exit 1 ;;
esac
END
chmod +x "$work/elsewhere/bin/pkg-config"
out=$(without "${libvirt[@]}" -- make -s -j2 "$quick" PKG_CONFIG=elsewhere/bin/pkg-config)
ok $? "a libvirt that pkg-config knows" "$out"

# ---- no hard links, and no links at all ----

mkdir "$work/bin"
printf '#!/bin/sh\necho "ln: operation not permitted" >&2\nexit 1\n' >"$work/bin/ln"
chmod +x "$work/bin/ln"
out=$(cd "$work" && umask 077 && PATH=$work/bin:$PATH make -s "$quick" install DESTDIR="$work/root" PREFIX=/usr 2>&1)
ok $? "make install, without links" "$out"
holds "... what is copied is everybody's, whatever the umask" "$out" test "$(cd "$work/root" &&
	find . -type f -printf '%m\n' | sort -u | paste -sd' ')" = "644 755"
for name in vmbal vcpu_scheduler memory_coordinator; do
	holds "... $name runs" "$out" test "$("$work/root/usr/sbin/$name" -V)" = "$("$work/vmbal" -V)"
	holds "... its manual is there" "$out" test -s "$work/root/usr/share/man/man8/$name.8" -a ! -L "$work/root/usr/share/man/man8/$name.8"
done
holds "... and nobody hears of it" "$out" test "$(grep -c 'not permitted' <<<"$out")" -eq 0
plan
