#!/usr/bin/env bash
# Each safety rule of the memory policy, left out: some unit test or scenario must fail.
# shellcheck source=tests/mutate/lib.sh
. "$(dirname "$0")/lib.sh"

begin policy unit/test_mem unit/test_ledger unit/test_balloon unit/test_boot unit/test_mem_observe unit/test_need \
	unit/test_share sim/t_mem sim/t_mem_odd sim/t_mem_random sim/t_mem_churn

# What a guest needs.
mutate "stale stats are not believed" need.c 's/now_ns - h->change_ns < ns_of_s\(tune->fresh_s\)/true/'
mutate "a DIMM that is offline is no demand" mem_observe.c 's/f->actual_kib -= f->offline_kib;/;/'
mutate "... nor room to grow" mem_observe.c 's/f->max_kib -= f->offline_kib;/;/'
mutate "... what a moving balloon tells aside" mem_observe.c 's/moved <= tune->moved_kib/true/'
mutate "... or told lately" mem_observe.c 's/now_ns - g->need.moved_ns >= ns_of_s\(tune->settle_s\)/true/'
mutate "a part of a block is none" mem_observe.c 's/tune->block_other \* (block|tune->block_kib)/0/'
mutate "what the kernel does not tell is no news" mem_observe.c 's/\(news >= .*/(true ||/'
mutate "another DIMM is" mem_observe.c 's/f->kind.dimm_kib != g->mem.dimm_kib/false/'
mutate "history is of the same memory" mem_observe.c 's/history_shift\(g, .*/;/'
mutate "what came online is used by nobody" mem_observe.c 's/if \(by < 0\).*/if (false)/'
mutate "what only virtio-mem has no balloon gives" mem_observe.c 's/g->now.policy.min_kib < g->now.kind.virtio_mem_kib/false/'
mutate "... nor has its target" mem_observe.c 's/^\tless\(&g->mem.target_kib.*/\tif (false) &/'
mutate "a refused growth is tried smaller" mem_guest.c 's/if \(!learn_ceiling.*/if (true) {/'
mutate "... and then larger" mem_guest.c 's/raise_ceiling\(m, .*/;/'
mutate "what fails always has no ceiling" mem_guest.c '/^void mem_refused/,/^}/s/m->ceiling_kib = 0;/;/'
mutate "what was refused may be accepted later" mem_guest.c 's/now_ns >= g->mem.ceiling_ns/false/'
mutate "no growth is sent that is none" mem.c 's/fmin\(\(double\)g->plan.dealt_kib, .*/(double)g->plan.dealt_kib;/'
mutate "samples that the balloon moves are not believed" need.c \
	's/return h->moved_ns == 0 \|\| .*/return true;/'
mutate "demand stays readable while the balloon moves" need.c \
	's/if \(!g->need.follows \|\| .*/if (true)/'
mutate "a slow balloon blinds nobody" need.c 's/now_ns - h->blind_ns >= ns_of_s\(tune->blind_s\)/false/'
mutate "MemTotal is trusted only where it follows" need.c \
	's/offset >= 0 && offset < ballooned/true/'
mutate "levels stay within the guest's range" need.c \
	's/clamp\(floor, min, max\)/floor/'
mutate "demand is remembered for seconds" need.c 's/peak\(h, tune->peak_s\), now/peak(h, 0), now/'
tune "the floor, too, remembers it" floor_peak_s 0
tune "but not for long" floor_peak_s 5
mutate "the working set is remembered for minutes" need.c 's/fmax\(working, /fmax(0, /'
mutate "growth_kib_s is added" need.c 's/fmax\(h->growth_kib_s, rise .*/h->growth_kib_s;/'
mutate "noise is no growth" need.c 's/tune->noise_times \* h->noise_kib/0/'
mutate "swapping out is a debt" need.c 's/h->swap_debt_kib \+= .*/;/'
mutate "a restart forgets" need.c 's/\|\| h->boot_id != g->now.boot_id/|| false/'
mutate "an owner's limit squeezes nobody" need.c \
	's/clamp\(floor, min, max\)/clamp(floor, min, guest_limit(g))/'

# What is promised.
mutate "a standing target is a claim" ledger.c \
	's/return g->now.actual_kib > g->mem.target_kib \?.*/return g->now.actual_kib;/'
mutate "what is promised is no headroom" ledger.c 's/promised \+= .*/;/'
mutate "a booting guest claims all" ledger.c 's/g->need.booting \|\| g->need.silent/false/'
mutate "locked memory is claimed as it is held" ledger.c 's/return g->mem.keeps/return g->now.kind.locked || g->mem.keeps/'
mutate "... and beyond that is not its QEMU's own" ledger.c 's/!g->now.kind.locked && !all_its/!all_its/'
mutate "what is merged is promised" ledger.c 's/promised = \(double\)host->merged_kib/promised = 0/'
mutate "what ZFS caches is available" ledger.c 's/ \+ host->slow_kib;/;/'
mutate "... but not to a host that runs dry" ledger.c 's/r->at_once_kib < r->least_kib \|\|/r->available_kib < r->least_kib ||/'
mutate "... nor to rescues" mem.c 's/deep -= \(double\)\(r->available_kib.*/;/'
mutate "a hard limit ends growth" mem_observe.c 's/if \(!g->now.limit_kib\)/if (true)/'
mutate "... and leaves QEMU its own" mem_observe.c 's/ - ledger_overhead\(tune, g\)//'
mutate "pages that do not come back are noticed" ledger.c 's/m->keeps = true/m->keeps = false/'
mutate "untouched memory is no fault of the balloon" ledger.c 's/return due\(tune, g\) >= tune->due_kib;/return g->mem.from_kib != 0;/'
mutate "the VMM's own memory counts" ledger.c 's/claim_kib \+ ledger_overhead\(tune, g\)/claim_kib/'
mutate "the VMM's own memory is learnt" ledger.c 's/g->mem.overhead_kib = .*/;/'
mutate "a small host has a margin, too" ledger.c 's/fmax\(tune->reserve_kib,/fmax(tune->host_least_kib,/'
mutate "the host has a reserve" ledger.c 's/tune->reserve_kib,/0,/; s/tune->reserve_scale \*/0 */'
mutate "a rescue leaves the least" ledger.c \
	's/\(uint64_t\)fmax\(tune->host_least_kib, scale.*/(uint64_t)(scale(tune, (double)host->total_kib) * 0);/'
mutate "a bad host state is left step by step" ledger.c 's/state->host--/state->host = now/'
mutate "pressure counts" ledger.c 's/host->pressure >= 100 \* tune->soft_pressure/false/'
mutate "much pressure counts more" ledger.c 's/host->pressure >= 100 \* tune->hard_pressure/false/'
mutate "unknown host memory decides nothing" ledger.c 's/report->known = .*/report->known = true;/'

# What is commanded.
mutate "foreign guests are left alone" mem_guest.c 's/g->now.state == GUEST_UNMANAGED/false/'
mutate "paused guests are left alone" mem_guest.c 's/g->now.state == GUEST_PAUSED/false/'
mutate "busy guests are left alone" mem_guest.c 's/g->now.state == GUEST_BUSY \|\|/false ||/'
mutate "a refused guest is left alone for a while" mem_guest.c 's/now_ns < g->mem.refused_ns/false/'
mutate "locked guests are left alone" mem_guest.c 's/g->now.kind.locked \|\| g->now.kind.huge_kib/false/'
mutate "beside what is in hugepages there is more" ledger.c 's/return most_kib < others_kib .*/return g->now.kind.huge_kib ? 0 : most_kib;/'
mutate "what is in hugepages was set aside" ledger.c 's/return most_kib < others_kib .*/return most_kib;/'
mutate "a balloon that frees nothing is left alone" mem_guest.c 's/\|\| g->mem.keeps\)/|| false)/'
mutate "what nobody could tell has to be shown first" mem_parts.h 's/return g->now.unproven && .*/return false;/'
mutate "a probe is small" mem.c 's/double rate = unproven\(g\) \? t->tune->probe_kib : /double rate = /'
mutate "a probe has to show something" mem.c 's/unproven\(g\) && !ledger_shows\(t->tune, g, to\)/false/'
mutate "a probe is judged before the next" mem.c 's/ \|\| \(unproven\(g\) && ledger_judging\(t->tune, g\)\)//'
mutate "a probe is all that is counted on" mem.c 's/if \(unproven\(g\)\)$/if (false)/'
mutate "another run has to show it again" mem_guest.c 's/g->mem.stalled = g->mem.proven = false/g->mem.stalled = false/'
mutate "a probe that RSS did not follow shows nothing" ledger.c 's/m->proven = .*/m->proven = true;/'
mutate "kept pages are given back" mem_guest.c 's/g->plan.reason == MEM_LOCKED && g->mem.keeps/false/'
mutate "a minimum that nobody named yields" mem_observe.c 's/p->max_kib && p->min_kib > p->max_kib/false/'
mutate "booting guests are left alone" mem_guest.c 's/if \(g->need.booting\)/if (false)/'
mutate "not for ever" need.c 's/now_ns - h->boot_ns < ns_of_s\(tune->silent_s\)/true/'
mutate "who stays silent may touch all" ledger.c 's/g->need.booting \|\| g->need.silent/g->need.booting/'
mutate "... and has no driver" mem_guest.c 's/ \|\| g->need.silent\)/)/'
mutate "a balloon that moves has one" need.c 's/h->silent = false;/;/'
mutate "a squeezed guest boots with room" mem_guest.c 's/if \(room > .*/if (false)/'
mutate "... with what it needed before" mem_guest.c 's/g->mem.before_kib = g->plan.need_kib/(void)0/'
mutate "driverless guests are left alone" mem_guest.c \
	's/if \(!g->mem.has_driver \|\| g->need.silent\)/if (g->need.silent)/; s/return need_fresh\(tune, g, now_ns\).*/return MEM_NONE;/'
mutate "one command on one sample" mem_parts.h \
	's/return g->need.sample_ns > g->mem.command_ns;/return true;/'
mutate "a stalled shrink is taken back" mem_guest.c 's/m->stalled = true;/m->stalled = false;/'
mutate "so is one of a guest whose figures stopped" mem.h 's/MEM_STALE, MEM_MENDED/MEM_STALE, MEM_WAITS/'
mutate "so is one of a guest that is not ours any more" mem.h 's/MEM_UNMANAGED, MEM_RELEASED/MEM_UNMANAGED, MEM_WAITS/'
mutate "so is one of a guest whose memory is locked by now" mem.h 's/MEM_LOCKED, MEM_RELEASED/MEM_LOCKED, MEM_WAITS/'
mutate "an unmet shrink outlives the owner's word" ledger.c 's/g->now.state == GUEST_UNMANAGED && !m->shrinking/g->now.state == GUEST_UNMANAGED/'
mutate "a slow balloon is not a stuck one" mem_guest.c \
	's/tune->stall_kib_s \* elapsed_s/1e9/'
mutate "a stalled guest is blocked" mem_guest.c 's/m->blocked_ns \+= .*/m->blocked_ns = 0;/'
mutate "thrice stalled is no donor" mem_guest.c 's/m->stalls < tune->unresponsive_stalls \? (.*) : long_ns/\1/'
tune "a growth is kept for a while" keep_s 0
mutate "a growth nobody takes up is forgotten" mem_guest.c 's/ \|\| ungrown//'
mutate "a balloon that falls unasked is adopted" mem_guest.c 's/if \(falls && /if (false \&\& /'
mutate "an emergency takes no trickles" mem.c 's/t->tune->urgent_bands \* band\(t->tune, g\)/0/'
mutate "a balloon that let go is adopted" mem_guest.c 's/ \|\| let_go//'
mutate "swapping vetoes shrinking" mem.c 's/return MEM_SWAPPING;/return MEM_NONE;/'
mutate "a growth is not taken back at once" mem.c 's/return MEM_DEFERRED;$/return MEM_NONE;/'
mutate "a donor that cannot give is not counted on" mem.c 's/if \(swaps\(t, g\) \|\| blocked.*/if (false)/'
mutate "a hard host tries whom it had given up" mem.c 's/bool pardoned = .*/bool pardoned = false;/'
mutate "an emergency tries whom it had given up" mem.c 's/bool pardoned = t->emergency/bool pardoned = t->r->state >= HOST_HARD/'
mutate "a growth in need is not forgotten" mem_guest.c 's/actual >= \(double\)g->plan.need_kib;/true;/'
mutate "no shrink below survive" mem.c \
	's/fmax\(fmax\(goal, held\(g\) - step\), \(double\)g->plan.survive_kib\)/fmax(goal, held(g) - step)/'
mutate "a large guest's steps are worth it" mem.c 's/fmax\(t->tune->band_kib, fmin\(band\(t->tune, g\), step\)\)/band(t->tune, g)/'
mutate "a shrink goes step by step" mem.c 's/fmax\(goal, held\(g\) - step\)/goal/'
mutate "idle memory is given back" mem.c 's/return held\(g\) > comfort \+ margin.*/return held(g);/'
mutate "donors give" mem.c 's/if \(fit\(g\) && t->lacking\)/if (false)/'
mutate "donors give at once in an emergency" mem.c 's/if \(fit\(g\) && t->emergency &&/if (false \&\&/'
mutate "no growth is too recent when others lack" mem.c 's/bool wanted = .*/bool wanted = false;/'
mutate "a guest that grows is refilled early" mem.c 's/g->plan.growth_kib_s > t->tune->rising_kib_s/false/'
mutate "a rescue may lean on a boot" mem.c 's/deep \+= \(double\)r->booting_kib;//'
mutate "a certain death outweighs a promise" mem.c 's/fmax\(unpromised, fmin\(there, dying\)\)/unpromised/'
mutate "but only up to survive" mem.c 's/fmin\(there, dying\)/there/'
mutate "rescues do not lean on each other" mem_guest.c 's/m->rescued_kib \+= .*/;/'
mutate "what a rescue granted is touched by and by" ledger.c 's/g->mem.rescued_kib = .*/;/'
mutate "rescues come between decisions" mem.c \
	's/^\trescue\(t\);/\tif (t->decide) rescue(t);/'
mutate "a rescue may use the reserve" mem.c 's/fmax\(0, t->funds_kib \+ deep\)/fmax(0, t->funds_kib)/'
mutate "growth is paid from headroom" mem.c \
	's/double pool = fmax\(0, funds_kib\)/double pool = 1e9/'
mutate "a minimum is paid for, too" mem_guest.c 's/double least = fmin\(min, held\(g\)\)/double least = min/'
mutate "each grant is paid once" mem.c 's/t->funds_kib -= to - held\(g\)/;/'
mutate "dribbles are not sent" mem_parts.h 's/return fmax\(tune->band_kib, .*/return 0;/'
mutate "noise starts no growth" mem.c 's/return fmax\(tune->lack_kib, .*/return 0;/'
mutate "a guest comes to a flat share" mem.c 's/grant\(t, wants_level, .*/;/'
mutate "from above, too" mem.c 's/if \(fit\(g\) && apart\(t, g\)\)/if (false)/'
tune "a share has to be flat for long" flat_s 0
mutate "a share that moves is not flat" mem.c 's/if \(fabs\(share - flat\) <= .*/if (flat > 0)/'
tune "near a share is near enough" apart_part 0
mutate "idle reclaim takes no caches" mem.c 's/comfort = fmax\(comfort, with_caches\(t, g\)\);/;/'
mutate "nor does a flat share" mem.c 's/fmax\(share, with_caches\(t, g\)\)/share/'
mutate "some of a guest stays unused" mem.c 's|need_scaled\(t->tune, g, t->tune->unused_kib\);|0;|'

# Who gets what.
mutate "tiers are filled in order" share.c 's/pool_kib -= deal_tier/deal_tier/'
mutate "a minimum is reached to the last MiB" mem.c 's/return \(double\)g->mem.target_kib < min && to >= min/return false/'
mutate "all get the same fraction" share.c \
	's/fmin\(1, level \* g\[i\].now.policy.weight\)\);/(i == 0));/'
plan
