# SPDX-License-Identifier: MIT
#
# stat.awk: turns the figures that `lab stat` asks virsh for into frames, or lines (tsv=1).
#
# Input is what a virsh shell prints: its prompt with the command it read, then the answer. Our
# own figures come in as the arguments of its echo command:
#   @time T MEMAVAILABLE       begins a sample; T in seconds, KiB
#   @busy CPU:TICKS...         hundredths of a second that each pCPU has been busy
#   @end                       ends it
# A line to the file "answered" tells that a sample is complete.
# Needs -v prefix=, tsv=, tty=, rows=, columns=, answered=.

{ sub(/^.*virsh # (echo )?/, "") }

$1 == "@time" { before = now; now = $2; available = $3; guests = 0; delete pinned }
$1 == "@busy" { for (i = 2; i <= NF; i++) { split($i, f, ":"); read_busy(f[1], f[2]) } }
$1 == "Domain:" { guest = substr($2, 2, length($2) - 2); read_guest() }
$1 == "vcpuinfo" { guest = $NF }
$1 == "VCPU:" { vcpu = $2 }
$1 == "CPU:" { last[guest, vcpu] = $2 }
$1 == "CPU" && $2 == "Affinity:" { mask[guest, vcpu] = $3; pinned[guest, vcpu] = 1 }
/^  [a-z]/ && guest != "" { split($1, f, "="); read_figure(f[1], f[2]) }
$1 == "@end" { end_sample(); print > answered; fflush(answered) }

function read_busy(cpu, ticks) {
	busy[cpu] = before ? share(ticks - ticks_before[cpu], 100) : 0
	ticks_before[cpu] = ticks
	if (cpu >= cpus) cpus = cpu + 1
}

function read_guest(    i) {
	if (index(guest, prefix) != 1) { guest = ""; return }
	for (i = guests++; i && serial(name[i - 1]) > serial(guest); i--) name[i] = name[i - 1]
	name[i] = guest
	vcpus[guest] = 0
	figure[guest, "balloon.usable"] = figure[guest, "balloon.unused"] = "-"
	figure[guest, "balloon.available"] = figure[guest, "balloon.last-update"] = "-"
}

function serial(g) {
	return substr(g, length(prefix) + 1) + 0
}

function read_figure(key, value,    part) {
	figure[guest, key] = value
	split(key, part, ".")
	if (part[1] != "vcpu") return
	if (part[3] == "time") {
		number[guest, vcpus[guest]++] = part[2]
		use[guest, part[2]] = rate(guest SUBSEP key, value)
	}
	if (part[3] == "delay") wait[guest, part[2]] = rate(guest SUBSEP key, value)
}

# Permille of the real time since the last sample; "-" where there was none, or the guest is new.
function rate(key, value,    delta) {
	delta = (key in counter) ? value - counter[key] : -1
	counter[key] = value
	return before && delta >= 0 ? share(delta, 1e9) : "-"
}

function share(delta, unit) {
	return int(1000 * delta / unit / (now - before) + 0.5)
}

function end_sample() {
	if (!before) return
	sum_up()
	if (tsv) print_lines()
	else print_frame()
	fflush()
}

# A vCPU counts where it is pinned.  One that is unpinned ran on many in a sample, and where it was last
# seen tells little: the unpinned ones together fill what the pinned ones leave of each pCPU's
# busy time.
function sum_up(    i, j, g, k, at, unpinned, room, left, mean, square) {
	for (i = 0; i < cpus; i++) { by_guests[i] = 0; tenants[i] = "" }
	for (i = 0; i < guests; i++)
		for (j = 0; j < vcpus[g = name[i]]; j++) {
			k = number[g, j]
			if (!((g, k) in pinned)) continue
			at = last[g, k]
			if (mask[g, k] ~ /^[0-9]+$/) by_guests[at = mask[g, k]] += use[g, k]
			else unpinned += use[g, k]
			tenants[at] = tenants[at] " " serial(g) (vcpus[g] > 1 ? "." k : "") \
				":" percent(use[g, k])
		}
	for (i = 0; i < cpus; i++) {
		left[i] = busy[i] > by_guests[i] ? busy[i] - by_guests[i] : 0
		room += left[i]
	}
	for (i = 0; i < cpus; i++) by_guests[i] += int(room ? unpinned * left[i] / room : unpinned / cpus)
	for (i = 0; i < cpus; i++) mean += by_guests[i] / cpus
	for (i = 0; i < cpus; i++) square += (by_guests[i] - mean) * (by_guests[i] - mean) / cpus
	imbalance = root(square)
}

# Debian's busybox is built without sqrt(). Newton's method, from above.
function root(x,    r, i) {
	for (r = x + 1; i < 40; i++) r = (r + x / r) / 2
	return r
}

function percent(permille) {
	return permille == "-" ? "-" : int(permille / 10 + 0.5)
}

function print_lines(    i, j, g, k) {
	OFS = "\t"
	for (i = 0; i < cpus; i++) print "pcpu", now, i, by_guests[i], busy[i]
	for (i = 0; i < guests; i++) {
		g = name[i]
		for (j = 0; j < vcpus[g]; j++) {
			k = number[g, j]
			if (!((g, k) in pinned)) continue
			print "vcpu", now, g, k, mask[g, k], last[g, k], use[g, k], wait[g, k]
		}
		print "mem", now, g, figure[g, "balloon.current"], figure[g, "balloon.usable"],
			figure[g, "balloon.unused"], figure[g, "balloon.available"],
			figure[g, "balloon.rss"], figure[g, "balloon.last-update"]
	}
	print "host", now, available, int(imbalance + 0.5)
}

function print_frame(    i) {
	line = 0
	if (tty) printf "%s\033[H", drawn++ ? "" : "\033[2J"
	else if (drawn++) print ""
	put(sprintf("%d guests   imbalance %.1f points   host %d MiB available", guests, imbalance / 10, available / 1024))
	put("")
	for (i = 0; i < cpus; i++)
		put(sprintf("pCPU %-2d [%s] %5.1f%% %s", i,
			bar(24, 1000, by_guests[i], "#", busy[i], ":"), by_guests[i] / 10, tenants[i]))
	put("")
	put(sprintf("%-12s %6s %6s %6s %6s", "guest, MiB", "actual", "used", "usable", "rss"))
	for (i = 0; i < guests; i++) put_guest(name[i])
	if (tty) printf "\033[J"
}

function put_guest(g,    actual, used, max) {
	actual = figure[g, "balloon.current"]
	max = figure[g, "balloon.maximum"]
	used = figure[g, "balloon.usable"] == "-" ? 0 : actual - figure[g, "balloon.usable"]
	put(sprintf("%-12s %6d %6s %6s %6d [%s]", g, actual / 1024, mib(used), mib(used ? actual - used : 0),
		figure[g, "balloon.rss"] / 1024, bar(34, max, used, "#", actual, "-")))
}

function mib(kib) {
	return kib ? int(kib / 1024) : "-"
}

# As many a's as the first amount, b's up to the second, dots for the rest.
function bar(width, whole, first, a, second, b,    i, s) {
	for (i = 0.5; i < width; i++) s = s (i < first / whole * width ? a : i < second / whole * width ? b : ".")
	return s
}

# The last line of a terminal stays free, or it would scroll.
function put(text) {
	if (!tty) { print text; return }
	if (++line < rows) printf "%s\033[K\n", substr(text, 1, columns)
}
