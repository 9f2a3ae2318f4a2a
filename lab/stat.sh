# shellcheck shell=bash
# The lab's monitor: asks once a second, for stat.awk to show.

# One virsh for the whole run: a new one per frame would cost 15 ms of CPU each time.
lab_stat() {
	local frames=0 tsv=0 tty=0 rows=0 columns=0
	parse_stat "$@"
	connected || die "no libvirtd; 'lab up' starts one"
	if [[ -t 1 ]]; then
		tty=1
		read -r rows columns < <(stty size </dev/tty)
	fi
	exec {answered}<> <(:)
	# Killed in whatever way, this shell closes the pipe and thereby ends the two others.
	exec {requests}> >(stdbuf -oL virsh -q -c qemu:///system 2>/dev/null |
		busybox awk -v prefix="$PREFIX" -v tsv="$tsv" -v tty="$tty" -v rows="$rows" \
			-v columns="$columns" -v answered="/dev/fd/$answered" -f "$HERE/stat.awk")
	readers=$!
	stat_requests "$frames" >&"$requests"
	exec {requests}>&-
	wait "$readers"
}

parse_stat() {
	while (($#)); do
		case $1 in
		--once) frames=1 ;;
		--tsv) tsv=1 ;;
		--frames)
			is_number "${2:-}" || wrong "stat: --frames needs a number"
			frames=$2 && shift
			;;
		*) wrong "stat: unknown option '$1'" ;;
		esac
		shift
	done
}

# A frame shows a difference, so it takes one sample more. Only shell builtins in the loop. Where
# a vCPU runs and may run is not in the bulk figures: one call for each guest, 1 ms. Each sample
# waits for the last one's answer, or on a full host its time would be told seconds too early.
stat_requests() {
	local start=${EPOCHREALTIME/./} i name
	exec {never}<> <(:)
	for ((i = 0; $1 == 0 || i <= $1; i++)); do
		((i == 0)) || pause_until_second "$start"
		host_figures
		echo "domstats --vcpu --balloon --list-running --nowait"
		for name in "$DIR/$PREFIX"*.xml; do
			name=${name##*/}
			echo "vcpuinfo --pretty ${name%.xml}"
		done
		echo "echo @end"
		until read -r -t 1 -u "$answered" _; do
			echo echo # nothing; but if nobody reads the figures any more, it ends virsh and us
		done
	done
}

# The next whole second since a start in us: those missed on a busy machine are not made up for.
pause_until_second() {
	local left=$((1000000 - (${EPOCHREALTIME/./} - $1) % 1000000)) seconds
	printf -v seconds '%d.%06d' $((left / 1000000)) $((left % 1000000))
	read -r -t "$seconds" -u "$never" || true
}

host_figures() {
	local key kib cpu user nice system irq softirq steal busy='' _
	while read -r key kib _; do
		[[ $key != MemAvailable: ]] || break
	done </proc/meminfo
	while read -r cpu user nice system _ _ irq softirq steal _; do
		[[ $cpu != cpu[0-9]* ]] ||
			busy+=" ${cpu#cpu}:$((user + nice + system + irq + softirq + steal))"
	done </proc/stat
	echo "echo @time $EPOCHREALTIME $kib"
	echo "echo @busy$busy"
}
