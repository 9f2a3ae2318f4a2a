# shellcheck shell=bash disable=SC2154 # work, budget: the caller's
# Figures of a run, for the demo and the tests: all from the daemon, none from vmbal's log.
# $work/tsv has the lines of `lab stat --tsv`, $work/events those of `virsh event`.

monitor=
events=

# judge_begin: starts recording; judge_end: stops it.
judge_begin() {
	lab/lab stat --tsv >"$work/tsv" 2>"$work/stat.err" &
	monitor=$!
	virsh event --event tunable --loop --timestamp >"$work/events" 2>&1 &
	events=$!
}

judge_end() {
	[ -n "$monitor" ] || return 0
	kill "$monitor" "$events" 2>/dev/null
	wait "$monitor" "$events" 2>/dev/null
}

# No recording is not "nothing happened": a figure that is missing fails its test.
recording() {
	kill -0 "$monitor" 2>/dev/null && kill -0 "$events" 2>/dev/null
}

# pins SINCE: changes of vCPU masks that the daemon told of since then.
pins() {
	recording || return 1
	awk -v since="$(date -u -d "@$1" '+%Y-%m-%d %H:%M:%S')" \
		'/event .tunable/ { at = substr($0, 1, 19) } /vcpupin/ && at >= since { n++ } END { print n + 0 }' \
		"$work/events"
}

# spread FROM TO [all]: standard deviation, in points, of the pCPUs' mean use in that time: by
# guests, or by all that runs there.
spread() {
	recording || return 1
	awk -v from="$1" -v to="$2" -v f="$([ "${3-}" = all ] && echo 5 || echo 4)" '
		$1 == "pcpu" && $2 > from && $2 <= to { sum[$3] += $f; n[$3]++ }
		END {
			for (c in sum) { u = sum[c] / n[c] / 10; s += u; q += u * u; k++ }
			if (k) printf "%.1f\n", sqrt((q / k - (s / k) ^ 2 > 0) ? q / k - (s / k) ^ 2 : 0)
		}' "$work/tsv"
}

# on_pcpu CPU: the guests now pinned to just this pCPU, from the daemon.
on_pcpu() {
	local i

	for i in $(lab/lab list | awk '{ print $1 }'); do
		[ "$(virsh vcpupin "$i" --live | awk '$1 == "0" { print $2 }')" != "$1" ] || echo "$i"
	done
}

# least FIELD FROM TO [GUEST]: the smallest figure of a field of the "mem" lines, in MiB.
least() {
	recording || return 1
	awk -v f="$1" -v from="$2" -v to="$3" -v g="${4-}" '
		$1 == "mem" && $2 > from && $2 <= to && (g == "" || $3 == g) && $f != "-" {
			if (m == "" || $f < m) m = $f
		}
		END { if (m != "") printf "%d\n", m / 1024 }' "$work/tsv"
}

# last FIELD GUEST: the newest figure, in MiB.
last() {
	recording || return 1
	awk -v f="$1" -v g="$2" '$1 == "mem" && $3 == g && $f != "-" { x = $f }
		END { if (x != "") printf "%d\n", x / 1024 }' "$work/tsv"
}

# most_rss FROM TO: the largest sum over guests of host memory held, in MiB.
most_rss() {
	recording || return 1
	awk -v from="$1" -v to="$2" '
		$1 == "mem" && $2 > from && $2 <= to { sum[$2] += $8 }
		END { for (t in sum) if (sum[t] > m) m = sum[t]; if (m) printf "%d\n", m / 1024 }' "$work/tsv"
}

# host_left FROM TO: the least that the guests left of the lab host's $budget, in MiB.
host_left() {
	local most
	most=$(most_rss "$1" "$2") && [ -n "$most" ] && echo $((budget - most))
}

# balloon_changes FROM TO: times that any guest's size moved by over 1 MiB between two frames.
balloon_changes() {
	recording || return 1
	awk -v from="$1" -v to="$2" '
		$1 == "mem" && $2 > from && $2 <= to {
			if ($3 in was) {
				d = $4 - was[$3]
				if (d > 1024 || d < -1024) n++
			}
			was[$3] = $4
		}
		END { print n + 0 }' "$work/tsv"
}
