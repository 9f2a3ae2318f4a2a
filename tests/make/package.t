#!/usr/bin/env bash
# The Debian package: it builds from a clean tree, lintian finds nothing, and it brings what belongs
# to a service without starting it.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

if ! command -v dh >/dev/null || ! command -v lintian >/dev/null; then
	echo "1..0 # SKIP debhelper and lintian are needed"
	exit 0
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/vmbal"
cp -r Makefile README.md LICENSE vmbal.[ch] lib policy host report loop man contrib docs debian "$work/vmbal"

out=$(cd "$work/vmbal" && dpkg-buildpackage -us -uc -b 2>&1)
ok $? "dpkg-buildpackage" "$(tail -n 20 <<<"$out")"
out=$(lintian --allow-root --fail-on error,warning "$work"/vmbal_*.changes 2>&1)
ok $? "lintian" "$out"

deb=$(ls "$work"/vmbal_*.deb)
files=$(dpkg-deb -c "$deb" | awk '{ print $6 }')
for file in usr/sbin/vmbal usr/sbin/vcpu_scheduler usr/sbin/memory_coordinator \
	usr/share/man/man8/vmbal.8.gz usr/lib/systemd/system/vmbal.service \
	usr/lib/sysusers.d/vmbal.conf usr/share/bash-completion/completions/vmbal \
	usr/share/zsh/vendor-completions/_vmbal; do
	holds "it has $file" "$files" grep -qxF "./$file" <<<"$files"
done
dpkg-deb -R "$deb" "$work/root"
holds "its unit runs the installed program" "" \
	grep -q '^ExecStart=/usr/sbin/vmbal cpu' "$work/root/usr/lib/systemd/system/vmbal.service"
holds "it makes the service's user" "" grep -q systemd-sysusers "$work/root/DEBIAN/postinst"
holds "it starts nothing" "$(cat "$work/root/DEBIAN/postinst")" \
	test "$(grep -cE "deb-systemd-(invoke|helper).*(start|enable)" "$work/root/DEBIAN/postinst")" -eq 0
version=$(sed -n 's/^VERSION *= *//p' Makefile)
holds "its version is that of the Makefile" "$deb" test "$(dpkg-deb -f "$deb" Version)" = "$version"
holds "that of the changelog, too" "$(head -n 5 CHANGELOG.md)" grep -q "^## $version" CHANGELOG.md
plan
