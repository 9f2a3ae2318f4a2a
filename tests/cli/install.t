#!/usr/bin/env bash
# `make install` puts three names of one program and its man page where it is told to, and
# `make uninstall` takes them away again.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

out=$(make -s install DESTDIR="$root" PREFIX=/opt/x 2>&1)
ok $? "make install" "$out"
bin=$root/opt/x/sbin
for name in vmbal vcpu_scheduler memory_coordinator; do
	holds "$name is installed and runs" "$(find "$root")" test "$("$bin/$name" --version)" = "$(./vmbal -V)"
	holds "$name is the same file" "" test "$bin/$name" -ef "$bin/vmbal"
	holds "$name has its man page" "" test -s "$root/opt/x/share/man/man8/$name.8"
done
holds "the installed link is the one loop" "" \
	grep -q 'SECONDS' <("$bin/vcpu_scheduler" 2>&1)
holds "the unit runs the installed program" "" \
	grep -q '^ExecStart=/opt/x/sbin/vmbal cpu' "$root/opt/x/lib/systemd/system/vmbal.service"
holds "its user is declared" "" grep -q '^u vmbal ' "$root/opt/x/lib/sysusers.d/vmbal.conf"

# completes WORDS...: what bash offers for the last of them.
completes() {
	(
		# shellcheck source=contrib/vmbal.bash
		. "$root/opt/x/share/bash-completion/completions/${1##*/}"
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_vmbal "$bin/$1"
		echo "${COMPREPLY[*]}"
	)
}
holds "completion knows the commands" "$(completes vmbal '')" \
	grep -q 'cpu mem restore' <<<"$(completes vmbal '')"
holds "... which the links do not have" "" test "$(completes vcpu_scheduler c)" = ""
holds "... every option of --help" "" test "$(completes vmbal -- | wc -w)" -eq \
	"$(./vmbal --help | grep -cE '^ +(-., )?--[a-z]')"
holds "... also of a program that is named by its path" "$(completes ../sbin/vmbal '' 2>&1)" \
	test "$(completes ../sbin/vmbal '' 2>&1)" = "$(completes vmbal '')"
holds "... and the values of some" "" test "$(completes vmbal --grain c)" = "cpu core cache"
holds "nothing else is installed" "$(find "$root" -type f)" \
	test "$(find "$root" -type f | wc -l)" -eq 8

out=$(make -s uninstall DESTDIR="$root" PREFIX=/opt/x 2>&1)
ok $? "make uninstall" "$out"
holds "nothing is left" "$(find "$root" ! -type d)" test -z "$(find "$root" ! -type d)"
plan
