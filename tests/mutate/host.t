#!/usr/bin/env bash
# Each thing that host/ takes care of, left out of a copy of its source: some test over the
# simulated libvirt must fail.  tests/mutate/host.t [-v] [PATTERN]: just those that match.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

[ "${1-}" = -v ] && verbose=yes && shift
only=${1-.}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cc=${CC:-cc}
flags=(-I"$dir" -I. -I/usr/include/libxml2 -std=gnu11 -D_GNU_SOURCE -O1 -w -pthread)
hosts=()
for f in host/*.c; do
	f=${f##*/}
	[ "$f" = proc.c ] || hosts+=("${f%.c}")
done
tests=(virt loops host starved chain) # the quick ones first

mkdir "$dir"/{host,fixed,test}
for f in policy/*.c tests/fake/*.c; do
	"$cc" "${flags[@]}" -c -o "$dir/fixed/$(basename "$f" .c).o" "$f" || exit 1
done
for t in "${tests[@]}"; do
	"$cc" "${flags[@]}" -c -o "$dir/test/$t.o" "tests/fault/test_$t.c" || exit 1
done

compile() { # NAME of a file in $dir/host
	"$cc" "${flags[@]}" -c -o "$dir/host/$1.o" "$dir/host/$1.c" &&
		objcopy --redefine-sym malloc=fake_malloc --redefine-sym calloc=fake_calloc \
			--redefine-sym realloc=fake_realloc --redefine-sym strdup=fake_strdup \
			"$dir/host/$1.o"
}

# Says what failed first, or nothing.
verdict() {
	local t out
	for t in "${tests[@]}"; do
		"$cc" -pthread -o "$dir/program" "$dir/test/$t.o" "$dir"/fixed/*.o "$dir"/host/*.o \
			-lcmocka -lxml2 -lm || return 1
		out=$(CMOCKA_MESSAGE_OUTPUT=TAP timeout 60 "$dir/program" 2>&1) && continue
		out=$(grep -m1 '^not ok' <<<"$out" || echo "died")
		echo "$t: $out"
		return
	done
}

# mutate NAME FILE SED: without it something must fail.
mutate() {
	local failed
	[[ $1 =~ $only ]] || return
	sed -i -E "$3" "$dir/host/$2.c"
	if cmp -s "host/$2.c" "$dir/host/$2.c"; then
		ok 1 "$1" "the sed changes nothing in $2.c"
		return
	fi
	if compile "$2"; then
		failed=$(verdict)
		ok "$([ -n "$failed" ]; echo $?)" "$1" "every test passes without it"
		[ -z "${verbose-}" ] || echo "# $failed"
	else
		ok 1 "$1" "does not compile"
	fi
	cp "host/$2.c" "$dir/host"
	compile "$2"
}

cp host/*.[ch] "$dir/host"
for f in "${hosts[@]}"; do
	compile "$f" || exit 1
done
failed=$(verdict)
ok "$([ -z "$failed" ]; echo $?)" "with everything in place all tests pass" "$failed"

# What happens between two samples.
mutate "a restart is noticed by the domain's id" virt 's/restarted = d->id != .*/restarted = false;/'
mutate "a restart is another boot" virt '/^static void domain_seen/,/^}/s/d->boot_id = \+\+v->boots/(void)v/'
mutate "a reset is another boot" virt 's/d && event\[i\].kind == EVENT_REBOOT/false/'
mutate "others' pins are noticed" virt 's/d && event\[i\].kind == EVENT_TUNED/false/'
mutate "changed metadata are noticed" virt 's/d && event\[i\].kind == EVENT_POLICY/false/'
mutate "lost events make all be asked" virt 's/all = v->refresh \|\| .*/all = v->refresh;/'
mutate "a guest that is gone is dropped" virt 's/if \(v->dom\[i\].present\)/if (true)/'
mutate "masks are compacted" virt 's/if \(v->nsets <= used\)/if (true)/'
mutate "a changed fence is found in turn" virt_sample \
	's/v->dom\[v->stale_next\].pins_known = false/(void)v/'
mutate "a fence is read before each pin" virt '/^static bool pin_is_inside/,/^}/s/d->pins_known = .*/;/'
mutate "masks are read again when a pCPU comes or goes" virt_sample \
	'/^static void online_changed/,/^}/s/v->dom\[i\].pins_known = false/(void)i/'
mutate "statistics are turned on again after a restart" virt \
	's/d->pins_known = d->period_known = /d->pins_known = /'

# Whose figures.
mutate "this machine's pCPUs are read from /proc" virt_sample \
	'/^static int pcpus_read/,/^}/s/if \(v->local\)/if (false)/'
mutate "another machine's memory is read through libvirt" virt_sample \
	'/^static void host_memory/,/^}/s/if \(v->local\)/if (true)/'
mutate "another machine is told by its URI" virt "s/server && server\[3\] == '\/'/true/"
mutate "an older daemon's figures are added up" virt_sample 's/available \? available : sum/available/'
mutate "isolated pCPUs are known" virt_sample 's/proc_isolated\(&s->isolated\)/(void)0/'
mutate "isolated pCPUs are not used" cpuloop 's/l->scope.bits\[w\] &= ~l->now.isolated.*/;/'
mutate "who was put on isolated pCPUs stays there" cpuloop \
	's/return !l->opt->cpus && cpuset_count\(&live\) > 0 &&/return false \&\&/'
mutate "paused guests are told" virt_sample 's/return GUEST_PAUSED/return GUEST_RUNNING/'
mutate "a quota of one vCPU counts" virt 's/d->quota = \(double\)quota .*/;/'
mutate "a quota of all threads counts" virt 's/if \(all > 0 && all_period > 0\)/if (false)/'
mutate "the smaller quota counts" virt 's/d->quota > 0 && d->quota < sum \? d->quota : sum/sum/'

# Refusals.
mutate "a refusal blocks" virt 's/d->blocked_until_ns = now_ns \+ d->backoff_ns/(void)now_ns/'
mutate "a second refusal blocks for longer" virt 's/d->backoff_ns \* 2/d->backoff_ns/'
mutate "no block is for ever" virt 's/d->backoff_ns > BACKOFF_LAST_NS/false/'
mutate "a blocked guest is not called" virt \
	'/^static enum virt_result domain_ready/,/^}/s/if \(proc_now_ns\(\) < d->blocked_until_ns\)/if (false)/'
mutate "the memory loop is told of a blocked guest" virt_sample \
	's/return proc_now_ns\(\) < d->blocked_until_ns \? GUEST_BUSY : /return /'
mutate "the CPU loop is told of a blocked guest" virt_sample 's/c.blocked = blocked/(void)blocked/'
mutate "a job is asked for" virt 's/ && no_job\(d->ref\)/ \&\& true/'
mutate "a refused memory command is the policy's to know" memloop \
	's/mem_refused\(g, proc_now_ns\(\)\)/(void)0/'
mutate "a gone guest is no failure" virt 's/if \(code == VIR_ERR_NO_DOMAIN\)/if (false)/'
mutate "an unread definition forbids everything" virt_sample 's/\|\| !d->policy_read\)/|| false)/'
mutate "an unread definition forbids pins" virt_sample 's/!d->policy_read \|\| //'

# The connection.
mutate "a dead connection is closed" virt '/^void virt_check/,/^}/s/virt_close\(v\)/(void)v/'
mutate "there is a pause between attempts" virt 's/proc_now_ns\(\) < v->retry_ns/false/'
mutate "a loss is said once" virt \
	'/^int virt_connected/,/^}/s/log_change\(&v->down, true,/v->down = false; &/'
mutate "domains of a dead connection are let go" virt \
	'/^static void virt_close/,/^}/s/domain_detach\(&v->dom\[i\]\)/(void)i/'
mutate "callbacks are taken back" virt 's/if \(v->callback\[i\] >= 0\)/if (false)/'
mutate "a new connection is another epoch" virt 's/v->epoch\+\+/(void)0/'

# From one tick to the next.
mutate "two samples of different epochs are not compared" cpuloop \
	's/l->before.epoch != l->now.epoch \|\| /false || /'
mutate "two samples of one moment are not compared" cpuloop \
	's/l->now.taken_ns <= l->before.taken_ns/false/'
mutate "counters of another run are not compared" cpuloop 's/b->boot_id == c->boot_id && //'
mutate "counters that went back are no sample" cpuloop 's/ && c->run_ns >= b->run_ns//'
mutate "a pCPU's counters that went back are unknown" cpuloop \
	's/l->now.pcpu\[i\].busy_ns < l->before.pcpu\[i\].busy_ns \|\|/false ||/'
mutate "a vCPU's history goes on" cpuloop 's/\*v = \*old/(void)old/'
mutate "a guest's history goes on" memloop 's/g->need = old->need/(void)old/'
mutate "a guest's stalls are remembered" memloop 's/g->mem = old->mem/(void)old/'
mutate "an unmet shrink is taken back at the end" memloop \
	'/^void mem_loop_settle/,/^}/s/\tsettle\(l\)/\t(void)l/'

# Memory.
mutate "topology is read again after a failure" virt 's/v->topology_known = topology_parse.*/v->topology_known = true; topology_parse(xml, \&v->topology);/'
mutate "metadata are read again after a failure" virt 's/result < 0 && !error\[0\]/false/'
mutate "a topology cut short is none" topology 's/ \|\| xml_starved\(\)//'
mutate "libxml2 says nothing by itself" xml 's/xmlSetStructuredErrorFunc\(NULL, on_error\);//'
mutate "a DTD is refused" xml 's/ && !doc->intSubset//'
plan
