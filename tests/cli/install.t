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
holds "nothing else is installed" "$(find "$root" -type f)" \
	test "$(find "$root" -type f | wc -l)" -eq 4

out=$(make -s uninstall DESTDIR="$root" PREFIX=/opt/x 2>&1)
ok $? "make uninstall" "$out"
holds "nothing is left" "$(find "$root" ! -type d)" test -z "$(find "$root" ! -type d)"
plan
