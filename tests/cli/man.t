#!/usr/bin/env bash
# The man page tells the truth: its tables of thresholds are those of the code, its options those of --help.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

page=man/vmbal.8

# A row of the code for each row of the manual's tables, with the same value, unit and meaning.
tunables=$(build/tests/cli/tunables cpu && build/tests/cli/tunables mem && build/tests/cli/tunables host)
while read -r row; do
	name=$(cut -d' ' -f3 <<<"$row")
	holds "tunable $name is in the manual as it is in the code" "$row" grep -qxF -- "$row" $page
done <<<"$tunables"
while read -r row; do
	name=$(cut -d' ' -f3 <<<"$row")
	holds "... and $name of the manual is in the code" "$row" grep -qxF -- "$row" <<<"$tunables"
done < <(grep -E '^\.It Dv [a-z0-9_]+ Ta ' $page)

holds "thresholds were found" "$tap_n" test "$tap_n" -ge 200
holds "sentences with values were found" "" test "$(grep -c '^\.\\" = ' $page)" -ge 30

# Where a sentence repeats such a value, a comment above it names the row: whoever changes that is
# led to the sentence.
while read -r name value; do
	holds "$name is $value where a sentence says so" "" \
		grep -qE "^\.It Dv $name Ta $value Ta " <<<"$tunables"
done < <(sed -n 's/^\.\\" = //p' $page | sed 's/, /\n/g')

# ... and the least sizes that options take.
while read -r option; do
	least=$(./vmbal --"$option" 1KiB mem 5 2>&1 | sed -nE 's/.* from ([0-9]+)(MiB) to .*/\1 \2/p')
	holds "--$option: $least or more" "" test -n "$least"
	holds "... says the manual" "" \
		grep -q "$least or more" <(sed -n "/^\.It Fl .*-$option Ar/,/^\.It/p" $page | sed 1d)
done < <(./vmbal --help | sed -nE 's/^.*--([a-z-]+) SIZE.*/\1/p')

while read -r short long; do
	holds "option $short, $long is explained" "" \
		grep -qE "^\.It Fl ${short#-} , -${long#--}( |\$)" $page
done < <(./vmbal --help | sed -nE 's/^ +(-.), (--[a-z-]+).*/\1 \2/p')

for long in $(./vmbal --help | sed -nE 's/^ {6}(--[a-z-]+).*/\1/p'); do
	holds "option $long is explained" "" grep -qE "^\.It (Fl ${long#-}|Dv $(tr - _ <<<"${long#--}"))( |\$)" $page
done

while read -r command; do
	holds "command ${command% *} is explained" "" grep -qxE "\.(It )?Cm ${command/SECONDS/Ar seconds}" $page
done < <(./vmbal --help | sed -nE 's/^  ([a-z]+)( +SECONDS|) .*/\1\2/p' | tr -s ' ')

# A reason is a tag, with a sentence below it.
while read -r reason; do
	holds "reason '$reason' is explained" "" \
		awk -v tag="$reason" '/^\.\\"/ { next } /^\.It (Sy )?/ { sub(/^\.It (Sy )?/, ""); at = $0 == tag; next }
			at && /^[A-Z]/ { found = 1 } { at = 0 } END { exit !found }' $page
done < <(grep -ohE 'ROW\((MEM|V?CPU|RESTORE)_[A-Z_]+,( (V?CPU|MEM|RESTORE)_[A-Z]+,)? "[A-Za-z: -]+"' policy/*.[ch] report/*.h | cut -d'"' -f2)

while read -r attribute; do
	holds "a guest's attribute $attribute is explained" "" \
		grep -qE "^\.It (.* , )?Cm $attribute( ,|\$)" <(sed -n "/^\.Sh GUESTS' OWN/,/^\.Sh WITHOUT/p" $page)
done < <(sed -nE '/define GUEST_ATTRIBUTES/,/clang-format on/s/^\tROW\(([a-z]+),.*/\1/p' policy/sample.h)

while read -r field; do
	holds "field $field of the log is explained" "" \
		grep -qE "^\.It Sy (.*, )?$field( ,|\$)" <(sed -n '/^\.Sh LOG/,/^\.Sh METRICS/p' $page)
done < <(grep -ohE '\.name = "[a-z_]+"' report/*_log.c host/log.c | cut -d'"' -f2 | sort -u)

while read -r metric; do
	holds "metric $metric is explained" "" grep -qE "vmbal_$metric( |\$)" $page
done < <(grep -oE '"[a-z]+_[a-z_]+_(total|cpus|ratio|bytes|state|hung)"' report/metrics.c | tr -d '"' | sort -u)

states=$(grep -oE 'ROW\(HOST_[A-Z]+, "[a-z]+"' policy/mem.h | cut -d'"' -f2 | awk '{ printf "%s%d %s", (NR > 1 ? ", " : ""), NR - 1, $0 }')
holds "the host has states" "$states" grep -q "^0 ok, " <<<"$states"
for file in $page contrib/grafana.json; do
	holds "$file has the host's states" "$states" grep -qF "$states" $file
done
critical=$(grep -oE '[0-9]+ critical' <<<"$states")
holds "... and the alert is of ${critical#* }" "$critical" grep -qF "vmbal_host_memory_state >= ${critical% *}" contrib/vmbal.alerts.yml
plan
