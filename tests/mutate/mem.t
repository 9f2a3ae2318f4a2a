#!/usr/bin/env bash
# Each safety rule of the memory policy, left out: some unit test or scenario must fail.
# shellcheck source=tests/mutate/lib.sh
. "$(dirname "$0")/lib.sh"

begin policy unit/test_mem unit/test_need unit/test_share sim/t_mem sim/t_mem_odd \
	sim/t_mem_random sim/t_mem_churn

# What a guest needs.
mutate "stale stats are not believed" need.c 's/now_ns - h->change_ns < FRESH_NS/true/'
mutate "samples that the balloon moves are not believed" need.c \
	's/return h->moved_ns == 0 \|\| .*/return true;/'
mutate "demand stays readable while the balloon moves" need.c \
	's/if \(!g->need.follows \|\| .*/if (true)/'
mutate "a slow balloon blinds nobody" need.c 's/now_ns - h->blind_ns >= BLIND_NS/false/'
mutate "MemTotal is trusted only where it follows" need.c \
	's/offset >= 0 && offset < ballooned/true/'
mutate "levels stay within the guest's range" need.c \
	's/g->floor_kib = \(uint64_t\)clamp\(floor, .*/g->floor_kib = (uint64_t)floor;/'
mutate "demand is remembered for seconds" need.c 's/peak\(h, PEAK_SECONDS\), now/peak(h, 0), now/'
mutate "the floor, too, remembers it" need.c 's/^#define FLOOR_SECONDS .*/#define FLOOR_SECONDS 0/'
mutate "but not for long" need.c 's/^#define FLOOR_SECONDS .*/#define FLOOR_SECONDS PEAK_SECONDS/'
mutate "the working set is remembered for minutes" need.c 's/fmax\(working, /fmax(0, /'
mutate "velocity is added" need.c 's/h->velocity = fmax\(h->velocity, .*/h->velocity = 0;/'
mutate "noise is no growth" need.c 's/NOISE_TIMES \* h->noise_kib/0/'
mutate "swapping out is a debt" need.c 's/h->swap_debt_kib \+= .*/;/'
mutate "a restart forgets" need.c 's/\|\| h->boot_id != g->boot_id/|| false/'
mutate "an owner's limit squeezes nobody" need.c \
	's/floor_kib = \(uint64_t\)clamp\(floor, \(double\)g->min_kib, \(double\)g->max_kib/floor_kib = (uint64_t)clamp(floor, (double)g->min_kib, guest_limit(g)/'

# What is promised.
mutate "a standing target is a claim" ledger.c \
	's/return g->actual_kib > g->target_kib \?.*/return g->actual_kib;/'
mutate "what is promised is not spare" ledger.c 's/promised \+= .*/;/'
mutate "a booting guest claims all" ledger.c 's/\|\| ledger_booting\(g\);/|| false;/'
mutate "locked memory is claimed whole" ledger.c 's/return g->locked \|\|/return/'
mutate "pages that do not come back are noticed" ledger.c 's/m->keeps = true/m->keeps = false/'
mutate "untouched memory is no fault of the balloon" ledger.c 's/due < DUE_KIB/false/'
mutate "the VMM's own memory counts" ledger.c 's/claim_kib \+ overhead\(g\)/claim_kib/'
mutate "the VMM's own memory is learnt" ledger.c 's/g->mem.overhead_kib = .*/;/'
mutate "a small host has a margin, too" ledger.c 's/fmax\(RESERVE_KIB,/fmax(LEAST_KIB,/'
mutate "the host has a reserve" ledger.c 's/RESERVE_KIB, RESERVE_SCALE \*/0, 0 */'
mutate "a rescue leaves the least" ledger.c \
	's/\(uint64_t\)fmax\(LEAST_KIB, scale.*/(uint64_t)(scale((double)host->total_kib) * 0);/'
mutate "a bad host state is left step by step" ledger.c 's/state->host--/state->host = now/'
mutate "pressure counts" ledger.c 's/host->pressure >= 100 \* SOFT_PRESSURE/false/'
mutate "much pressure counts more" ledger.c 's/host->pressure >= 100 \* HARD_PRESSURE/false/'
mutate "unknown host memory decides nothing" ledger.c 's/report->known = .*/report->known = true;/'

# What is commanded.
mutate "foreign guests are left alone" mem.c 's/g->state == GUEST_FOREIGN/false/'
mutate "paused guests are left alone" mem.c 's/g->state == GUEST_PAUSED/false/'
mutate "busy guests are left alone" mem.c 's/g->state == GUEST_BUSY \|\|/false ||/'
mutate "a refused guest is left alone for a while" mem.c 's/now_ns < g->mem.refused_ns/false/'
mutate "locked guests are left alone" mem.c 's/g->locked \|\| g->hugepages/false/'
mutate "a balloon that frees nothing is left alone" mem.c 's/\|\| g->mem.keeps\)/|| false)/'
mutate "kept pages are given back" mem.c 's/g->reason == MEM_LOCKED && g->mem.keeps/false/'
mutate "booting guests are left alone" mem.c 's/if \(ledger_booting\(g\)\)/if (false)/'
mutate "a squeezed guest boots with room" mem.c 's/if \(room > .*/if (false)/'
mutate "driverless guests are left alone" mem.c \
	's/if \(!g->mem.has_driver\)/if (false)/; s/return need_fresh\(g, now_ns\).*/return MEM_NONE;/'
mutate "one command on one sample" mem.c \
	's/return g->need.sample_ns > g->mem.command_ns;/return true;/'
mutate "a stalled shrink is taken back" mem.c 's/m->stalled = true;/m->stalled = false;/'
mutate "so is one of a guest whose figures stopped" mem.c 's/if \(g->reason == MEM_STALE\)/if (false)/'
mutate "so is one of a guest that is not ours any more" mem.c 's/g->reason == MEM_FOREIGN \|\| g->reason == MEM_LOCKED/g->reason == MEM_LOCKED/'
mutate "so is one of a guest whose memory is locked by now" mem.c 's/g->reason == MEM_FOREIGN \|\| g->reason == MEM_LOCKED/g->reason == MEM_FOREIGN/'
mutate "an unmet shrink outlives the owner's word" ledger.c 's/g->state == GUEST_FOREIGN && !m->shrinking/g->state == GUEST_FOREIGN/'
mutate "a slow balloon is not a stuck one" mem.c \
	's/< STALL_RATE \* elapsed_s/< 1e9/'
mutate "a stalled guest is blocked" mem.c 's/m->blocked_ns = now_ns \+ .*/m->blocked_ns = 0;/'
mutate "thrice stalled is no donor" mem.c 's/m->stalls < STALLS_KEPT \? (.*) : HOUR_NS/\1/'
mutate "a growth is kept for a while" mem.c 's/^#define KEEP_NS .*/#define KEEP_NS 0/'
mutate "a growth nobody takes up is forgotten" mem.c 's/ \|\| ungrown//'
mutate "a balloon that falls unasked is adopted" mem.c 's/bool falls = .*/bool falls = false;/'
mutate "an emergency takes no trickles" mem.c 's/URGENT_BANDS \* band\(g\)/0/'
mutate "a balloon that let go is adopted" mem.c 's/ \|\| let_go//'
mutate "swapping vetoes shrinking" mem.c 's/return MEM_SWAPPING;/return MEM_NONE;/'
mutate "a growth is not taken back at once" mem.c 's/return MEM_HELD;$/return MEM_NONE;/'
mutate "a donor that cannot give is not counted on" mem.c 's/return why == MEM_SWAPPING .*/return false;/'
mutate "a hard host tries whom it had given up" mem.c 's/bool pardoned = .*/bool pardoned = false;/'
mutate "an emergency tries whom it had given up" mem.c 's/bool pardoned = t->emergency/bool pardoned = t->r->state >= HOST_HARD/'
mutate "a growth in need is not forgotten" mem.c 's/actual >= \(double\)g->wanted_kib;/true;/'
mutate "no shrink below survive" mem.c \
	's/fmax\(fmax\(goal, held\(g\) - step\), \(double\)g->survive_kib\)/fmax(goal, held(g) - step)/'
mutate "a large guest's steps are worth it" mem.c 's/fmax\(BAND_KIB, fmin\(band\(g\), step\)\)/band(g)/'
mutate "a shrink goes step by step" mem.c 's/fmax\(goal, held\(g\) - step\)/goal/'
mutate "idle memory is given back" mem.c 's/return held\(g\) > comfort \+ margin.*/return held(g);/'
mutate "donors give" mem.c 's/if \(fit\(g\) && t->lacking\)/if (false)/'
mutate "donors give at once in an emergency" mem.c 's/if \(fit\(g\) && t->emergency &&/if (false \&\&/'
mutate "no growth is too recent when others lack" mem.c 's/bool wanted = [^,]*,/bool wanted = false,/'
mutate "a guest that grows is refilled early" mem.c 's/g->velocity > RISING/false/'
mutate "a rescue may lean on a boot" mem.c 's/deep \+= \(double\)t->r->booting_kib;//'
mutate "rescues come between decisions" mem.c \
	's/grant\(t, wants_rescue, t->funds_kib/if (t->decide) grant(t, wants_rescue, t->funds_kib/'
mutate "a rescue may use the reserve" mem.c 's/t->funds_kib \+ deep, MEM_RESCUE/t->funds_kib, MEM_RESCUE/'
mutate "growth is paid from what is spare" mem.c \
	's/double pool = fmax\(0, funds_kib\)/double pool = 1e9/'
mutate "a minimum is paid for, too" mem.c 's/double least = fmin\(\(double\)g->min_kib, held\(g\)\)/double least = (double)g->min_kib/'
mutate "each grant is paid once" mem.c 's/t->funds_kib -= to - held\(g\)/;/'
mutate "dribbles are not sent" mem.c 's/return fmax\(BAND_KIB, .*/return 0;/'
mutate "noise starts no growth" mem.c 's/return fmax\(LACK_KIB, .*/return 0;/'

# Who gets what.
mutate "tiers are filled in order" share.c 's/pool_kib -= deal_tier/deal_tier/'
mutate "all get the same fraction" share.c \
	's/fmin\(1, level \* weight\(&g\[i\]\)\)\);/(i == 0));/'
plan
