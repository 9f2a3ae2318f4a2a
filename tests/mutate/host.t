#!/usr/bin/env bash
# Each thing that host/ takes care of, left out: some test over the simulated libvirt must fail.
# shellcheck source=tests/mutate/lib.sh
. "$(dirname "$0")/lib.sh"

begin host fault/test_virt fault/test_state fault/test_loops fault/test_host fault/test_starved fault/test_chain

# What happens between two samples.
mutate "a restart is noticed by the domain's id" virt.c 's/restarted = d->id != .*/restarted = false;/'
mutate "a restart is another boot" virt.c '/^static void domain_seen/,/^}/s/d->boot_id = \+\+v->boots/(void)v/'
mutate "a reset is another boot" virt.c 's/d && event\[i\].kind == EVENT_REBOOT/false/'
mutate "others' pins are noticed" virt.c 's/d && event\[i\].kind == EVENT_TUNED/false/'
mutate "changed metadata are noticed" virt.c 's/d && event\[i\].kind == EVENT_POLICY/false/'
mutate "lost events make all be asked" virt.c 's/all = v->refresh \|\| .*/all = v->refresh;/'
mutate "a guest that is gone is dropped" virt.c 's/if \(v->dom\[i\].present\)/if (true)/'
mutate "masks are compacted" virt.c 's/if \(v->nsets <= used\)/if (true)/'
mutate "a changed fence is found in turn" virt_sample.c \
	's/v->dom\[v->stale_next\].pins_known = false/(void)v/'
mutate "a fence is read before each pin" virt_act.c '/^static bool pin_is_inside/,/^}/s/d->pins_known = .*/;/'
mutate "masks are read again when a pCPU comes or goes" virt_sample.c \
	'/^static void online_changed/,/^}/s/v->dom\[i\].pins_known = false/(void)i/'
mutate "statistics are turned on again after a restart" virt.c \
	's/d->pins_known = d->period_known = /d->pins_known = /'

# Whose figures.
mutate "this machine's pCPUs are read from /proc" virt_sample.c \
	'/^static int pcpus_read/,/^}/s/if \(v->local\)/if (false)/'
mutate "another machine's memory is read through libvirt" virt_sample.c \
	'/^static void host_memory/,/^}/s/if \(v->local\)/if (true)/'
mutate "another machine is told by its URI" virt.c "s/server && server\[3\] == '\/'/true/"
mutate "an older daemon's figures are added up" virt_sample.c 's/available \? available : sum/available/'
mutate "isolated pCPUs are known" virt_sample.c 's/proc_isolated\(&s->isolated\)/(void)0/'
mutate "isolated pCPUs are not used" cpuloop.c 's/l->scope.bits\[w\] &= ~l->now.isolated.*/;/'
mutate "who was put on isolated pCPUs stays there" cpuloop.c \
	's/return !l->opt->cpus && cpuset_count\(&live\) > 0 &&/return false \&\&/'
mutate "paused guests are told" virt_sample.c 's/return GUEST_PAUSED/return GUEST_RUNNING/'
mutate "a quota of one vCPU counts" virt_learn.c 's/d->quota = \(double\)quota .*/;/'
mutate "a quota of all threads counts" virt_learn.c 's/if \(all > 0 && all_period > 0\)/if (false)/'
mutate "the smaller quota counts" virt_learn.c 's/d->quota > 0 && d->quota < sum \? d->quota : sum/sum/'

# Refusals.
mutate "a refusal waits" virt_learn.c 's/r->until_ns = proc_now_ns\(\) \+ r->delay_ns/(void)r/'
mutate "a second refusal waits for longer" virt_learn.c 's/2 \* r->delay_ns : REFUSED_NS/r->delay_ns : REFUSED_NS/'
mutate "no refusal is for ever" virt_learn.c 's/r->delay_ns > most_ns/false/'
mutate "the end of a job is noticed soon" virt_act.c 's/JOB_MOST_NS\)/REFUSED_MOST_NS)/'
mutate "a guest with a job is not called" virt_act.c \
	'/^static enum virt_result domain_ready/,/^}/s/if \(proc_now_ns\(\) < d->job.until_ns\)/if (false)/'
mutate "a guest that cannot be pinned is given memory" virt_sample.c \
	's/return proc_now_ns\(\) < d->job.until_ns \?/return proc_now_ns() < d->job.until_ns || proc_now_ns() < d->pins.until_ns ?/'
mutate "a guest that cannot be pinned is left for longer each time" virt_sample.c \
	's/ \|\| now_ns < d->pins.until_ns//'
mutate "a refusal is counted once for all vCPUs" virt_learn.c \
	'/^void refusal_wait/,/^}/s/if \(proc_now_ns\(\) < r->until_ns\)/if (false)/'
mutate "what is not ours is not called each second" memloop.c 's/ \|\| \(result == VIRT_BUSY && [^)]*\)//'
mutate "a slow daemon's pins wait for the next tick" cpuloop.c 's/proc_now_ns\(\) >= until_ns/false/'
mutate "a slow daemon's balloons wait for the next tick" memloop.c 's/proc_now_ns\(\) < until_ns/true/'
mutate "each guest of a slow daemon has its turn" memloop.c 's/l->turn = l->n .*/l->turn = 0;/'
mutate "SIGHUP and events ask for a definition at once" virt.c 's/d->ask_policy.until_ns = 0;/;/'
mutate "SIGHUP and events ask for masks at once" virt.c 's/d->ask_masks.until_ns = 0;/;/'
mutate "a pin is of one run" virt_act.c 's/if \(d->id != run\)/if (false)/'
mutate "statistics are turned on in the end" virt_act.c \
	's/(command_failed\(v, d, &d->period, .*)/d->period_known = true, \1/'
mutate "a slow daemon is asked in parts" virt_sample.c 's/return now_ns < v->learn_until_ns && /return /'
mutate "a guest that cannot be told of is not asked about at once" virt_sample.c \
	's/now_ns >= last->until_ns && //'
mutate "the memory loop is told of a guest with a job" virt_sample.c \
	's/return proc_now_ns\(\) < d->job.until_ns \? GUEST_BUSY : /return /'
mutate "the CPU loop is told of a guest not to pin" virt_sample.c 's/c.blocked = blocked/(void)blocked/'
mutate "a lost connection is nobody's refusal" virt_act.c 's/return VIRT_LOST/return VIRT_FAILED/'
mutate "a job is asked for" virt_act.c 's/ && no_job\(d->ref\)/ \&\& true/'
mutate "a refused memory command is the policy's to know" memloop.c \
	's/mem_refused\(g, proc_now_ns\(\)\)/(void)0/'
mutate "a gone guest is no failure" virt_act.c 's/if \(code == VIR_ERR_NO_DOMAIN\)/if (false)/'
mutate "an unread definition forbids everything" virt_sample.c 's/\|\| !d->policy_read\)/|| false)/'
mutate "an unread definition forbids pins" virt_sample.c 's/!d->policy_read \|\| //'

# The connection.
mutate "a dead connection is closed" virt.c 's/v->lost = true/(void)v/'
mutate "a dead connection is closed when nothing of it is held" virt.c \
	'/^void virt_check/,/^}/s/v->lost = true/virt_close(v)/'
mutate "attempts become rarer" virt.c 's/delay_ns = 2 \* v->delay_ns/delay_ns = v->delay_ns/'
mutate "attempts do not become rare" virt.c 's/if \(last_ns > RETRY_LAST_NS\)/if (false)/'
mutate "a connection that tells nothing is no end of an outage" virt.c \
	's/v->proven = false;/virt_proven(v);/'
mutate "there is a pause between attempts" virt.c 's/proc_now_ns\(\) < v->retry_ns/false/'
mutate "a loss is said once" virt.c \
	'/^static int connect_anew/,/^}/s/log_change\(&v->down, true,/v->down = false; &/'
mutate "domains of a dead connection are let go" virt.c \
	'/^static void virt_close/,/^}/s/domain_detach\(&v->dom\[i\]\)/(void)i/'
mutate "callbacks are taken back" virt.c 's/if \(v->callback\[i\] >= 0\)/if (false)/'
mutate "events are asked for again" virt.c \
	'/^int virt_connected/,/^}/s/events_register\(v\)/if (!v->deaf) events_register(v)/'
mutate "what was missed without events is asked for" virt.c 's/virt_refresh\(v\);/;/'
mutate "a new connection is another epoch" virt.c 's/v->epoch\+\+/(void)0/'

# From one tick to the next.
mutate "two samples of different epochs are not compared" cpuloop.c \
	's/l->before.epoch != l->now.epoch \|\| /false || /'
mutate "two samples of one moment are not compared" cpuloop.c \
	's/l->now.taken_ns <= l->before.taken_ns/false/'
mutate "counters of another run are not compared" cpuloop.c 's/b->boot_id == c->boot_id && //'
mutate "counters that went back are no sample" cpuloop.c 's/ && c->run_ns >= b->run_ns//'
mutate "a pCPU's counters that went back are unknown" cpuloop.c \
	's/l->now.pcpu\[i\].busy_ns < l->before.pcpu\[i\].busy_ns \|\|/false ||/'
mutate "a vCPU's history goes on" cpuloop.c 's/\*v = \*old/(void)old/'
mutate "a guest's history goes on" memloop.c 's/g->need = old->need/(void)old/'
mutate "a guest's stalls are remembered" memloop.c 's/g->mem = old->mem/(void)old/'
mutate "an unmet shrink is taken back at the end" memloop.c \
	'/^int mem_loop_settle/,/^}/s/left = settle\(l\)/left = 0/'
mutate "a pin that cannot be noted is not made" cpuloop.c 's/^\t\tpins_cancel\(l\)/\t\t;/'
mutate "a shrink that cannot be noted is not made" memloop.c 's/^\t\tshrinks_cancel\(l\)/\t\t;/'

# Memory.
mutate "topology is read again after a failure" virt.c 's/v->topology_known = topology_parse.*/v->topology_known = true; topology_parse(xml, \&v->topology);/'
mutate "metadata are read again after a failure" virt_learn.c 's/result < 0 && !error\[0\]/false/'
mutate "a topology cut short is none" topology.c 's/ \|\| xml_starved\(\)//'
mutate "libxml2 says nothing by itself" xml.c 's/xmlSetStructuredErrorFunc\(NULL, on_error\);//'
mutate "a DTD is refused" xml.c 's/ && !doc->intSubset//'
plan
