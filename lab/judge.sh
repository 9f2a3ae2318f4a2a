# shellcheck shell=bash disable=SC2154 # work, budget: the caller's
# Figures of a run, for the demo, the cases and the tests: all from the daemon, none from vmbal's log.
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
	monitor=
}

# No recording is not "nothing happened": a figure that is missing fails its test.
recording() {
	kill -0 "$monitor" 2>/dev/null && kill -0 "$events" 2>/dev/null
}

# pin_times: of each change of a vCPU's mask that the daemon told of, in seconds since 1970.
pin_times() {
	recording || return 1
	awk '/event .tunable/ { at = substr($0, 1, 19) } /vcpupin/ { print at " UTC" }' "$work/events" |
		date -f - +%s
}

# pins SINCE: how many; last_pin SINCE: seconds from then to the last, nothing if there was none.
pins() {
	pin_times | awk -v since="$1" '$1 >= since { n++ } END { print n + 0 }'
}

last_pin() {
	pin_times | awk -v since="$1" '$1 >= since { last = $1 - since } END { print last }'
}

# Balance, as one sees it who asks libvirt: what each vCPU used since the last frame counts on the
# pCPU where it is now, also if it is unpinned and ran elsewhere most of the time.

# imbalance FROM TO [SECONDS]: standard deviation, in points, of the pCPUs' mean use in that time; or
# the largest of all so long windows in it.  On a busy machine a frame can be late, and the next
# one short, so each counts by the time since the one before.
imbalance() {
	recording || return 1
	awk -v from="$1" -v to="$2" -v window="${3-0}" '
		$1 == "pcpu" && $2 != now { took = $2 - now; now = $2; frames += is_judged() }
		!is_judged() { next }
		$1 == "pcpu" { seconds[frames] = took }
		$1 == "pcpu" && $3 >= pcpus { pcpus = $3 + 1 }
		$1 == "vcpu" && $7 != "-" { use[frames, $6] += $7 * took }
		END {
			if (!window || window > frames) window = frames
			for (i = 1; window && i <= frames - window + 1; i++) {
				s = deviation(i, i + window - 1)
				if (s > most) most = s
			}
			if (window) printf "%.1f\n", most
		}
		function is_judged() { return now >= from + 1 && now < to + 1 }
		function deviation(first, last,    c, f, u, t, sum, squares) {
			for (f = first; f <= last; f++) t += seconds[f]
			for (c = 0; c < pcpus; c++) {
				u = 0
				for (f = first; f <= last; f++) u += use[f, c] / 10 / t
				sum += u
				squares += u * u
			}
			squares = squares / pcpus - (sum / pcpus) ^ 2
			return squares > 0 ? sqrt(squares) : 0
		}' "$work/tsv"
}

# ticks: hundredths of a second for which all pCPUs were not idle, or the hypervisor below had them;
# and of these, what belongs to the run: the guests' processes, their daemons, us and what we began.
ticks() {
	cat /proc/stat /proc/[0-9]*/stat 2>/dev/null | awk -v us=$$ '
		$1 == "cpu" { busy = $2 + $3 + $4 + $7 + $8 + $9 }
		$1 ~ /^[0-9]+$/ {
			pid = $1
			comm = $0
			sub(/^[^(]*\(/, "", comm)
			sub(/\) .*/, "", comm)
			sub(/^.*\) /, "")
			parent[pid] = $2
			used[pid] = $12 + $13
			children[pid] = $14 + $15 # those that have ended
			if (comm ~ /^(qemu-system|libvirtd|virtlogd)/) ours[pid]
		}
		END {
			for (pid in parent) {
				for (p = pid; p in parent && p != us; p = parent[p]) ;
				if (p == us) sum += used[pid] + children[pid]
				else if (pid in ours) sum += used[pid]
			}
			print busy, sum
		}'
}

# noise BEFORE AFTER SECONDS: CPUs that all else took between two outputs of ticks.
noise() {
	awk -v s="$3" '{ other = $1 - $2 - other } END { printf "%.2f\n", other / 100 / s }' <<<"$1
$2"
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

# frames cpu|mem FROM TO: what a monitor shows each second, its time told from FROM on.
frames() {
	recording || return 1
	{
		pin_times | sed 's/^/pin /'
		cat "$work/tsv"
	} | awk -v what="$1" -v from="$2" -v to="$3" -v budget="${budget-0}" '
		$1 == "pin" { pins[$2 - from]++; next }
		$2 <= from - 5 || $2 > to { next }
		$1 == "pcpu" { use[$3] = 0; tenants[$3] = ""; pcpus = $3 + 1 }
		$1 == "vcpu" && $7 != "-" {
			use[$6] += $7 / 10
			tenants[$6] = tenants[$6] sprintf("  %s:%.0f", number($3), $7 / 10)
		}
		$1 == "mem" {
			lines = lines sprintf("%-14s %6d %6s %6s\n", $3, $4 / 1024, mib($6), mib($5))
			held += $8
		}
		$1 == "host" {
			if (what == "cpu") cpu_frame(); else mem_frame()
			lines = ""
			held = 0
		}
		function number(name) { sub(/.*-/, "", name); return name }
		function mib(kib) { return kib == "-" ? "-" : int(kib / 1024) }
		function second(    t) { t = $2 - from; return int(t < 0 ? t - 1 : t) }
		function cpu_frame(    c, sum, squares, s) {
			for (c = 0; c < pcpus; c++) { sum += use[c]; squares += use[c] ^ 2 }
			s = squares / pcpus - (sum / pcpus) ^ 2
			s = s > 0 ? sqrt(s) : 0
			printf "\n%+4d s   imbalance %.1f", second(), s
			if (pins[second()]) printf "   pins %d", pins[second()]
			print ""
			for (c = 0; c < pcpus; c++) printf "pCPU %-3d %6.1f%s\n", c, use[c], tenants[c]
		}
		function mem_frame() {
			printf "\n%+4d s         actual unused usable   host %d left\n%s", second(),
				budget - held / 1024, lines
		}'
}
