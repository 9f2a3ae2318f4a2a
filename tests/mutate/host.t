#!/usr/bin/env bash
# Each thing that host/ and loop/ take care of, left out: some test over the simulated libvirt must fail.
# shellcheck source=tests/mutate/lib.sh
. "$(dirname "$0")/lib.sh"

# The quick ones first: most of what is left out is seen by one of them.
begin host unit/test_mem_observe fault/test_sample unit/test_restore fault/test_shape fault/test_machine fault/test_host \
	fault/test_qemu fault/test_state fault/test_loops fault/test_hung fault/test_virt fault/test_pcpu \
	fault/test_chain fault/test_starved

# What happens between two samples.
mutate "a restart is noticed by the domain's id" virt_table.c 's/restarted = d->id != .*/restarted = false;/'
mutate "a restart is another boot" virt_table.c '/^static void domain_seen/,/^}/s/d->boot_id = \+\+v->boots/(void)v/'
mutate "a reset is another boot" virt_table.c 's/d && event\[i\].kind == EVENT_REBOOT/false/'
mutate "others' pins are noticed" virt_table.c 's/d && event\[i\].kind == EVENT_TUNED/false/'
mutate "devices that come and go are noticed" virt.c '/^static void on_device/,/^}/s/event_note\(opaque, dom, EVENT_POLICY\)/(void)dom, (void)opaque/'
mutate "devices whose data QEMU copies pin nothing" metadata.c 's|strcmp\(\(const char \*\)type, pinning\[i\].type\) == 0|true|'
mutate "hugepages of one cell are no other's" metadata.c 's/!cpuset_has\(&cells, \(unsigned\)cell\)/false/'
mutate "pages as the host has them are not huge" metadata.c 's/return page_kib > .*/return true;/'
mutate "a balloon counts DIMMs" metadata.c 's/kind->dimm_kib \+= size_kib;/kind->other_kib += size_kib;/'
mutate "... and no other memory device" metadata.c 's/kind->other_kib \+= size_kib;/;/'
mutate "which its maximum has" virt_sample.c 's/g->now.max_kib = balloon_most.*/;/'
mutate "a command has no virtio-mem" virt_act.c 's/c.kib = balloon_target.*/c.kib = kib;/'
mutate "what is plugged of virtio-mem is noticed" virt_learn.c 's/notice_virtio_mem\(d\);/;/'
mutate "a memory device has pages of its own" metadata.c 's/page \? is_huge\(kib_of\(page, NULL\)\) :/false ? true :/'
mutate "... or those of its cell" metadata.c 's/: cell_is_huge\(hugepages, cell\);/: false;/'
mutate "files are no hugepages" metadata.c 's/dimm \? size_kib : 0/size_kib/'
mutate "who is not managed is asked, too" virt_learn.c 's/learn_unmanaged\(v, d\);/;/'
mutate "changed metadata are noticed" virt_table.c 's/d && event\[i\].kind == EVENT_POLICY/false/'
mutate "lost events make all be asked" virt_table.c 's/all = v->refresh \|\| .*/all = v->refresh;/'
mutate "a guest that is gone is dropped" virt_table.c 's/if \(v->table.dom\[i\].record \|\| .*/if (true)/'
mutate "a long name ends at a character" virt_table.c 's/n > 0 && \(name\[n\] & 0xc0\) == 0x80/false/'
mutate "masks are compacted" virt_table.c 's/if \(v->table.nsets <= used\)/if (true)/'
mutate "a changed allowed is found in turn" virt_read.c \
	's/v->table.dom\[v->stale_next\].masks.done = false/(void)v/'
mutate "an allowed is read before each pin" virt_act.c '/^static bool pin_is_inside/,/^}/s/d->masks.done = .*/;/'
mutate "masks are read again when a pCPU comes or goes" virt_host.c \
	'/^static void online_changed/,/^}/s/masks_forget\(v\);/;/'
mutate "statistics are turned on again after a restart" virt_table.c \
	's/d->memory = d->period = /d->memory = /'

mutate "a new run is widened anew" policy/cpu_observe.c 's/v->past.widened \&= .*/;/'

# Which guests, and where they may run.
mutate "a pattern with ! excludes" virt_table.c 's/if \(exclude && matches\)/if (false)/'
mutate "patterns that only exclude leave the rest" virt_table.c 's/return matched \|\| !any/return matched/'
mutate "pCPUs that are not there are refused" loop/cpu.c 's/cpuset_count\(&usable\) > 0/true/'
mutate "but not such as went" loop/cpu.c 's/return first && \(none/return (none/'
mutate "a grain that is not known is refused" loop/cpu.c 's/cpu_knows_grain\(&l->now, l->opt->grain\)/true/'
mutate "what was found is an allowed" loop/cpu.c 's/c->allowed = \(unsigned\)index/(void)index/'
mutate "... as it was first seen" loop/state.c '/^int state_found/,/^}/s/\*first = m->found/*first = *now/'
mutate "... for the next run, too" loop/state.c \
	'/^int state_found/,/^}/s/s->changed = true/(void)s/'
mutate "... inside what is defined" loop/cpu.c 's/cpuset_and\(&allowed, &l->now.set\[c->allowed\]\);//'
mutate "what others pinned is theirs" policy/restore.c 's/return RESTORE_EXTERNAL;/;/'
mutate "no mask is put back without an online pCPU" policy/restore.c 's/return RESTORE_OFFLINE;/;/'
mutate "what we never pinned is not put back" loop/restore.c 's/cpuset_count\(&m->asked\[0\]\) == 0 \|\|//'
mutate "our own pins are nobody's start" loop/cpu.c 's/return first \? \*first : /return /'
mutate "pinned guests without a definition are named once" loop/cpu.c 's/l->said_undefined = cpu_log/cpu_log/'

# The process of a guest.
mutate "a process is known by its UUID" qemu.c 's/memcmp\(its, uuid, UUID_LEN\) == 0/true/'
mutate "one without vCPUs is none" qemu.c 's/ \|\| !has_vcpus\(pid\)//'
mutate "two processes of a guest are none" qemu.c '/^pid_t qemu_pid/,/^}/s/return 0;/break;/'
mutate "hidden processes are told" qemu.c 's/all->hidden = others_hidden\(\)/(void)others_hidden/'
mutate "a known process is looked at again" virt_learn.c 's/if \(d->process > 0 && qemu_is\(d->process, d->uuid\)\)/if (d->process > 0)/'
mutate "a kernel that does not count tells nothing" qemu.c 's/if \(run == 0\)/if (false)/'
mutate "run delay is read where libvirt does not tell" virt_read.c 's/qemu_waits\(pid, c, n\)/(void)pid/'
mutate "... or its lack is said" virt_read.c 's/say_waitless\(v, d\)/(void)say_waitless/'

# Whose figures.
mutate "this machine's pCPUs are read from /proc" virt_host.c \
	'/^int pcpus_read/,/^}/s/if \(v->local\)/if (false)/'
mutate "stolen time is no interrupt" proc.c 's/(irq_ns = .t\[5\] \+ t\[6\])/\1 + t[7]/'
mutate "another machine's memory is read through libvirt" virt_host.c \
	'/^void host_memory/,/^}/s/if \(v->local\)/if (true)/'
mutate "another machine is told by its URI" virt.c "s/server && server\[3\] == '\/'/true/"
mutate "an older daemon's figures are added up" virt_host.c 's/available \? available : sum/available/'
mutate "isolated pCPUs are known" virt_host.c 's/proc_isolated\(&s->isolated\)/(void)0/'
mutate "isolated pCPUs are not used" policy/cpu_observe.c 's/scope->bits\[w\] &= ~l->now->isolated.*/;/'
mutate "his pCPUs are nobody's" virt_pcpu.c 's/ \|\| d->wants.cpu_off//'
mutate "who is to be left alone by his owner is" policy/cpu_observe.c 's/c->policy.cpu_off \|\| //'
mutate "who was put on isolated pCPUs stays there" policy/cpu_observe.c \
	's/return !l->rules->cpus && cpuset_count\(&live\) > 0 &&/return false \&\&/'
mutate "a cpuset that was all is known" virt_learn.c 's/v->cpusets_changed \|= d->cpuset_read && /v->cpusets_changed |= d->cpuset_read \&\& cpuset_count(\&d->cpuset) > 0 \&\& /'
mutate "what was not tried is not refused" virt_pcpu.c 's/cpuset_add\(&untried, i\)/refused_add(v, d, \&one)/'
mutate "a list that is cut is not offered" virt_pcpu.c 's/ && *$/ \&\&/; s/!strstr\(cpuset_text\(&others, list, sizeof\(list\)\), "\.\.\."\)/cpuset_text(\&others, list, sizeof(list))/'
mutate "hard limits are known" virt_learn.c 's/d->limit_kib = kib/(void)kib/'
mutate "... and that there is none" virt_learn.c 's/kib < VIR_DOMAIN_MEMORY_PARAM_UNLIMITED/true/'
mutate "paused guests are told" virt_sample.c 's/return GUEST_PAUSED/return GUEST_RUNNING/'
mutate "strict memory allowed" virt_learn.c 's/strict = c->mode == MEMORY_STRICT \|\|/strict =/'
mutate "restrictive memory, too" virt_learn.c 's/ \|\| c->mode == MEMORY_RESTRICTIVE//'
mutate "nodes without pCPUs say nothing" virt_learn.c 's/any && strict/strict/'
mutate "preferred memory is known" virt_learn.c 's/out->nodes \|= .*/;/'
mutate "and that it is interleaved" virt_learn.c 's/c->mode == MEMORY_INTERLEAVE/false/'
mutate "a cell has its own policy" virt_learn.c 's/cell\[k\]\.mode == MEMORY_GUESTS/true/'
mutate "of its own mode" metadata.c 's/mode = modes\[i\]\.mode;/;/'
mutate "threads inside a bin are no cores" policy/cpu_observe.c 's/b->now.cores \+= core_is_new.*/b->now.cores++;/'
mutate "a quota of one vCPU counts" virt_learn.c 's/d->quota = \(double\)quota .*/;/'
mutate "a quota of all threads counts" virt_learn.c 's/if \(all > 0 && all_period > 0\)/if (false)/'
mutate "the smaller quota counts" virt_learn.c 's/d->quota > 0 && d->quota < sum \? d->quota : sum/sum/'

# Which pCPUs, and how strong they are.
mutate "this machine's shape is its kernel's to tell" virt_host.c 's/v->local \? proc_shape\(&v->shape\) :/false ? 0 :/'
mutate "... and its map of pCPUs" virt_host.c 's/if \(!v->local \|\| proc_online/if (true || proc_online/'
mutate "... which the daemon knows, too" virt_host.c 's/ \|\| !cpuset_equal\(&online, &v->table.online\)\)/)/'
mutate "AMD's ranking is no strength" shape.c 's/strcmp\(vendor, "AuthenticAMD"\) == 0/false/'
mutate "a small difference is none" shape.c 's/\(1 - limit.pcpu_weaker\) \* most/most/'
mutate "a cache that is not this pCPU's is not its" shape.c 's/!cpuset_has\(&members, cpu\)/false/'
mutate "a mask may be a part of its bin" policy/cpu_observe.c 's/v->now.narrow = .*/v->now.narrow = false;/'
mutate "a bin is as strong as its pCPUs" policy/cpu_observe.c 's/b->now.capacity \+= capacity/b->now.capacity++/'
mutate "... and as busy" policy/cpu_observe.c 's/pcpu_busy\(l, i, &irq\) \* capacity/pcpu_busy(l, i, \&irq)/'
mutate "a cpuset is an allowed" virt_pcpu.c 's/may = d->cpuset;/;/'
mutate "a cpuset is that of the guest, not of a thread" cgroup.c 's/threads_strip\(path\);/;/'
mutate "a container's view of groups is not believed" cgroup.c 's/ && !strstr\(path, "[^"]*"\)//'
mutate "one changed cpuset makes all be read" virt_learn.c 's/v->cpusets_changed \|= .*/;/'
mutate "a cpuset is read before each pin" virt_act.c 's/may = domain_pcpus\(&v->table, d\)/memset(\&may, 0xff, sizeof(may))/'
mutate "a refused mask is no word on the guest" virt_act.c 's/if \(!mask_was_refused\(v\)\)/if (true)/'
mutate "any other refusal is" virt_pcpu.c 's/return error == EINVAL \|\| error == EACCES \? error : 0/return EINVAL/'
mutate "a refused pCPU is not asked for again" virt_pcpu.c 's/add_all\(&d->refused, pcpus\)/(void)d/'
mutate "... nor for other guests" virt_pcpu.c 's/add_all\(&v->table.refused_again, &again\)/(void)again/'
mutate "... but where they differ" virt_pcpu.c 's/if \(!guests_differ\(t\)\)/if (true)/'
mutate "... until 10 minutes have passed" virt_pcpu.c 's/proc_now_ns\(\) >= v->refused_until_ns/false/'
mutate "... or pCPUs came or went" virt_host.c 's/refused_forget\(v\);/;/'
mutate "a refusal leaves a vCPU where its mask says" virt_pcpu.c 's/if \(had && error == EINVAL\)/if (false)/'
mutate "of a wide mask what is not refused is used" virt_pcpu.c 's/untried = refused_find\(v, d, vcpu, mask\)/refused_add(v, d, mask)/'
mutate "a narrowed mask is known as ours" loop/cpu.c 's/if \(!cpuset_equal\(&mask, &wanted\)\)/if (false)/'

# Refusals.
mutate "a refusal waits" virt.c 's/a->until_ns = proc_now_ns\(\) \+ a->delay_ns/(void)a/'
mutate "a second refusal waits for longer" virt.c 's/2 \* a->delay_ns : first_ns/a->delay_ns : first_ns/'
mutate "no refusal is for ever" virt.c 's/a->delay_ns > most_ns/false/'
mutate "the end of a job is noticed soon" virt_act.c 's/limit.job_most_s/limit.failed_most_s/'
mutate "a guest with a job is not called" virt_act.c \
	'/^static enum virt_result domain_ready/,/^}/s/ \|\| proc_now_ns\(\) < d->job.until_ns\)/)/'
mutate "a guest that cannot be pinned is given memory" virt_sample.c \
	's/return now_ns < d->job.until_ns \?/return now_ns < d->job.until_ns || now_ns < d->pins.until_ns ?/'
mutate "a guest that cannot be pinned is left for longer each time" virt_sample.c \
	's/ \|\| now_ns < d->pins.until_ns//'
mutate "a refusal is counted once for all vCPUs" virt.c \
	'/^void attempt_failed/,/^}/s/if \(proc_now_ns\(\) < a->until_ns\)/if (false)/'
mutate "what is not ours is not called each second" loop/mem.c 's/ \|\| \(result == VIRT_BUSY && [^)]*\)//'
mutate "a slow daemon's pins wait for the next tick" loop/cpu.c 's/proc_now_ns\(\) >= until_ns/false/'
mutate "a slow daemon's balloons wait for the next tick" loop/mem.c 's/proc_now_ns\(\) < until_ns/true/'
mutate "each guest of a slow daemon has its turn" loop/mem.c 's/l->turn = l->view\.n .*/l->turn = 0;/'
mutate "SIGHUP and events ask for a definition at once" virt_table.c 's/d->policy.until_ns = 0;/;/'
mutate "SIGHUP and events ask for masks at once" virt_table.c 's/d->masks.until_ns = 0;/;/'
mutate "a pin is of one run" virt_act.c 's/if \(d->id != run\)/if (false)/'
mutate "statistics are turned on in the end" virt_act.c \
	's/(command_failed\(v, d, &d->period, .*)/{ \1 d->period.done = true; }/'
mutate "a slow daemon is asked in parts" virt_learn.c 's/ && proc_now_ns\(\) < v->learn_until_ns//'
mutate "a guest that cannot be told of is not asked about at once" virt.c \
	's/return !a->done && proc_now_ns\(\) >= a->until_ns/return !a->done/'
mutate "the memory loop is told of a guest with a job" virt_sample.c \
	's/return now_ns < d->job.until_ns \? GUEST_BUSY : /return /'
mutate "the CPU loop is told of a guest not to pin" virt_sample.c 's/c.held = held/(void)held/'
mutate "a lost connection is nobody's refusal" virt_act.c 's/return VIRT_LOST/return VIRT_FAILED/'
mutate "a backup is no such job" virt_act.c 's/if \(!backup\)/if (true)/'
mutate "a job is asked for" virt_act.c 's/ && no_job\(v, d\)/ \&\& true/'
mutate "a refused memory command is the policy's to know" loop/mem.c \
	's/mem_refused\(&l->conf, g, proc_now_ns\(\)\)/(void)0/'
mutate "a gone guest is no failure" virt_act.c 's/if \(code == VIR_ERR_NO_DOMAIN\)/if (false)/'
mutate "an unread definition forbids everything" virt_sample.c 's/\|\| !d->policy_read\)/|| false)/'
mutate "an unread definition forbids pins" virt_sample.c 's/!d->managed \|\| !d->policy_read \|\|/!d->managed ||/'

# Guests that hang.
mutate "who hangs in a bulk read is found" virt_call.c 's/leave = d \? true : hung_find\(v\)/leave = d != NULL/'
mutate "who hangs is not asked again" virt_read.c 's/if \(d && d->hung_ns\)/if (false)/'
mutate "who hangs is told nothing" virt_act.c 's/if \(d->hung_ns \|\| proc_now_ns/if (proc_now_ns/'
mutate "who hangs is seen when it answers" virt_call.c 's/ \|\| ms >= .*\)/)/'
mutate "who hangs counts with what it holds" virt_sample.c 's/^\t\tif \(d->hung_ns\)/\t\tif (false)/'
mutate "... also where it was never sampled" virt_call.c 's/^\tfigures_ask\(d\);/\t(void)figures_ask;/'
mutate "a call that goes on to the next one is noticed" virt_call.c 's/callers_left\(&v->callers\) > hung_count\(v\)/false/'
mutate "a command that is under way is known" loop/mem.c 's/if \(result == VIRT_HUNG\)/if (false)/'

# The connection.
mutate "a dead connection is closed" virt.c 's/v->lost = true/(void)v/'
mutate "a dead connection is closed when nothing of it is held" virt.c \
	'/^void virt_check/,/^}/s/v->lost = true/virt_close(v)/'
mutate "attempts become rarer" virt.c 's/retry_most_ns\(v\)\)/ns_of_s(limit.retry_s))/'
mutate "attempts do not become rare" virt.c 's/fmin\(last_s, limit.retry_most_s\)/last_s/'
mutate "a connection that tells nothing is no end of an outage" virt.c \
	's/v->local = uri_is_local\(v->conn\);/&virt_proven(v);/'
mutate "there is a pause between attempts" virt.c 's/proc_now_ns\(\) < v->link.until_ns/false/'
mutate "a loss is said once" virt.c \
	'/^static int connect_anew/,/^}/s/log_change\(&v->link.said, true,/v->link.said = false; &/'
mutate "domains of a dead connection are let go" virt_table.c \
	'/^void table_detach/,/^}/s/domain_detach\(&v->table.dom\[i\]\)/(void)i/'
mutate "callbacks are taken back" virt.c 's/if \(v->callback\[i\] >= 0\)/if (false)/'
mutate "events are asked for again" virt.c \
	'/^int virt_connected/,/^}/s/events_register\(v\)/if (!v->events.said) events_register(v)/'
mutate "what was missed without events is asked for" virt.c 's/virt_refresh\(v\);/;/'
mutate "a new connection is another epoch" virt.c 's/v->epoch\+\+/(void)0/'

# From one tick to the next.
mutate "two samples of different epochs are not compared" loop/cpu.c \
	's/l->before.epoch == l->now.epoch/true/'
mutate "two samples of one moment are not compared" loop/cpu.c \
	's/l->now.taken_ns > l->before.taken_ns/true/'
mutate "counters of another run are not compared" policy/cpu_observe.c 's/b->boot_id == c->boot_id && //'
mutate "counters that went back are no sample" policy/cpu_observe.c 's/ && c->run_ns >= b->run_ns//'
mutate "a pCPU's counters that went back are unknown" policy/cpu_observe.c \
	's/now->busy_ns < was->busy_ns \|\|/false ||/'
mutate "a vCPU's history goes on" policy/cpu_observe.c 's/\*v = \*old/(void)old/'
mutate "a guest's history goes on" policy/mem_observe.c 's/g->need = old->need/(void)old/'
mutate "but not the figures of another run" policy/mem_observe.c 's/g->now.boot_id != old->now.boot_id/false/'
mutate "a figure that was left out is as before" policy/mem_observe.c 's/if \(!g->now.rss_kib\)/if (false)/'
mutate "a limit counts what guests hold" policy/mem_observe.c 's/held \+= .*/;/'
mutate "nobody is squeezed to nothing" policy/mem_observe.c 's/p->min_kib = \(uint64_t\)tune->min_kib/p->min_kib = 1/'
mutate "a guest's stalls are remembered" policy/mem_observe.c 's/g->mem = old->mem/(void)old/'
mutate "an unmet shrink is taken back at the end" loop/mem.c \
	'/^static int take_back/,/^}/s/left = shrinks_end\(l\)/left = 0/'
mutate "a pin that cannot be noted is not made" loop/cpu.c 's/^\t\tpins_cancel\(l\)/\t\t;/'
mutate "a shrink that cannot be noted is not made" loop/mem.c 's/^\t\tshrinks_cancel\(l\)/\t\t;/'

# Memory.
mutate "this machine's shape is read again after a failure" virt_host.c 's/v->local \? proc_shape\(&v->shape\) :/v->local ? (proc_shape(\&v->shape), 0) :/'
mutate "this machine is not asked of its daemon" virt_host.c 's/v->local \? proc_shape\(&v->shape\) : capabilities_read\(v\)/capabilities_read(v)/'
mutate "topology is read again after a failure" virt_host.c 's/ capabilities_read\(v\)\) == 0;/ (capabilities_read(v), 0)) == 0;/'
mutate "... and waited for" virt_host.c 's/can_be_flat\(v\) \|\| v->topology_read/true/'
mutate "metadata are read again after a failure" virt_learn.c 's/result < 0 && !error\[0\]/false/'
mutate "a topology cut short is none" topology.c 's/ \|\| xml_starved\(\)//'
mutate "libxml2 says nothing by itself" lib/xml.c 's/xmlSetStructuredErrorFunc\(NULL, on_error\);//'
mutate "a DTD is refused" lib/xml.c 's/ && !doc->intSubset//'
plan
