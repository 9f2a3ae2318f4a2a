# shellcheck shell=bash
# What the tests on real guests share: the lab, the daemon's own figures as the judge, vmbal.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
. tests/tap.sh

lab=lab/lab
guests='vmbal-lab-*'
pcpus=$(nproc)
work=$(mktemp -d)
vmbal=

# begin LAB-UP-ARGUMENTS...: boots the guests; they go, with all we started, when we end.
begin() {
	trap finish EXIT
	trap 'exit 130' INT TERM
	echo "# booting guests: $*"
	$lab up "$@" >"$work/up" 2>&1 || {
		sed 's/^/# /' "$work/up"
		echo "Bail out! the lab did not come up"
		exit 1
	}
	$lab stat --tsv >"$work/tsv" 2>"$work/stat.err" &
	monitor=$!
	virsh event --all --event tunable --loop --timestamp >"$work/events" 2>&1 &
	events=$!
}

finish() {
	[ -z "$vmbal" ] || kill "$vmbal" 2>/dev/null
	kill "$monitor" "$events" 2>/dev/null
	wait 2>/dev/null
	$lab down >/dev/null 2>&1
	rm -rf "$work"
}

now() {
	date +%s
}

# start_vmbal ARGUMENTS...: of the program named by $program, ./vmbal by default.
start_vmbal() {
	"${program:-./vmbal}" -g "$guests" "$@" 2>"$work/log" &
	vmbal=$!
}

# Ends vmbal as an operator would, and shows its log where a test failed.
stop_vmbal() {
	kill -TERM "$vmbal"
	wait "$vmbal"
	stopped=$?
	vmbal=
}

show_log() {
	sed 's/^/# /' "$work/log" | tail -n "${1:-40}"
}

# ---- judged from libvirt's figures ----

# pins SINCE: changes of vCPU masks that the daemon told of since then.
pins() {
	awk -v since="$(date -u -d "@$1" '+%Y-%m-%d %H:%M:%S')" \
		'/event .tunable/ { at = substr($0, 1, 19) } /vcpupin/ && at >= since { n++ } END { print n + 0 }' \
		"$work/events"
}

# spread FROM TO: standard deviation, in points, of the pCPUs' mean use by guests in that time.
spread() {
	awk -v from="$1" -v to="$2" '
		$1 == "pcpu" && $2 > from && $2 <= to { sum[$3] += $4; n[$3]++ }
		END {
			for (c in sum) { u = sum[c] / n[c] / 10; s += u; q += u * u; k++ }
			if (k) printf "%.1f\n", sqrt((q / k - (s / k) ^ 2 > 0) ? q / k - (s / k) ^ 2 : 0)
		}' "$work/tsv"
}

# on_pcpu CPU: the guests now pinned to just this pCPU, from the daemon.
on_pcpu() {
	local i

	for i in $($lab list | awk '{ print $1 }'); do
		[ "$(virsh vcpupin "$i" --live | awk '$1 == "0" { print $2 }')" != "$1" ] || echo "$i"
	done
}

# least FIELD FROM TO [GUEST]: the smallest figure of a field of the "mem" lines, in MiB.
least() {
	awk -v f="$1" -v from="$2" -v to="$3" -v g="${4-}" '
		$1 == "mem" && $2 > from && $2 <= to && (g == "" || $3 == g) && $f != "-" {
			if (m == "" || $f < m) m = $f
		}
		END { if (m != "") printf "%d\n", m / 1024 }' "$work/tsv"
}

# last FIELD GUEST: the newest figure, in MiB.
last() {
	awk -v f="$1" -v g="$2" '$1 == "mem" && $3 == g && $f != "-" { x = $f }
		END { printf "%d\n", x / 1024 }' "$work/tsv"
}

# most_rss FROM TO: the largest sum over guests of host memory held, in MiB.
most_rss() {
	awk -v from="$1" -v to="$2" '
		$1 == "mem" && $2 > from && $2 <= to { sum[$2] += $8 }
		END { for (t in sum) if (sum[t] > m) m = sum[t]; printf "%d\n", m / 1024 }' "$work/tsv"
}

# balloon_changes FROM TO: times that any guest's size moved by over 1 MiB between two frames.
balloon_changes() {
	awk -v from="$1" -v to="$2" '
		$1 == "mem" && $2 > from && $2 <= to {
			d = $4 - was[$3]
			if ($3 in was && (d > 1024 || d < -1024)) n++
			was[$3] = $4
		}
		END { print n + 0 }' "$work/tsv"
}

nobody_died() {
	local dead

	dead=$($lab dead 2>&1)
	ok $? "no guest died or killed a process" "$dead"
}
