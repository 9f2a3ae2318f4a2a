#!/usr/bin/env bash
# Each rule and gate of the CPU policy, left out: some unit test or scenario must fail.
# shellcheck source=tests/mutate/lib.sh
. "$(dirname "$0")/lib.sh"

begin policy unit/test_demand unit/test_cpu unit/test_place unit/test_node sim/t_cpu \
	"sim/t_cpu_tiers -n 100"

# What a vCPU wants.
mutate "waiting in a full bin is demand" demand.c 's|most = fmin\(v->run / \(1 - wait\)|most = fmin(v->run|'
mutate "nobody wants more than one CPU or his quota" demand.c 's/return v->quota > 0 .*/return 9;/'
mutate "the kind of work is learned" demand.c 's/return fmax\(0, fmin\(1, \(slope - .*/return guess;/'
mutate "closed work is not taken for open" demand.c 's/return fmax\(0, fmin\(1, \(slope - .*/return 0;/'
mutate "open work is not taken for closed" demand.c 's/return fmax\(0, fmin\(1, \(slope - .*/return 1;/'
mutate "a burst is smoothed" demand.c 's/^#define SMOOTH(_FAR)? .*/#define SMOOTH\1 1.0/'
mutate "a step is taken at once" demand.c 's/return d->steps >= STEP_SAMPLES;/return false;/'
mutate "one sample is no step" demand.c 's/^#define STEP_SAMPLES .*/#define STEP_SAMPLES 1/'
mutate "a step is not noise" demand.c 's/usual = fmin\(fabs\(off\), .*/usual = fabs(off);/'
mutate "a missed sample is no sample" demand.c 's/if \(v->sampled\) \{/if (true) {/'

# What no plan can beat.
mutate "the bound knows what cannot be packed" bound.c 's/^(.*)return half > m;/\1return false;/; s/if \(rest > TINY &&.*/if (false)/'
mutate "other load counts in the bound" bound.c 's/poured \+= other;/;/'
mutate "who must be placed counts as a move" bound.c 's/it->home == BIN_ASTRAY/false/'

# Where it goes.
mutate "a fence is never left" place.c 's/!place_usable\(pl, set, b\)/pl->bin[b].capacity <= 0/'
mutate "nor by a swap" place.c 's/!usable\(pl, i, q\)/false/; s/usable\(pl, j, p\)/true/'
mutate "who is fixed stays" place.c 's/it->fixed = v->why != VCPU_STAYS && !must;/it->fixed = false;/'
mutate "few leave a full bin: the smallest that suffices" place.c 's/if \(least != last\)/if (false)/'
mutate "the plan is refined" place.c 's/^(\trefine\(pl, target, stop_points\));/\t;/'
mutate "no plan makes it worse" place.c 's/if \(stay && !no_worse\(s, now\)\)/if (false)/'
mutate "several levels are tried" place.c 's/size_t levels = .*/size_t levels = 1;/'
mutate "light floats count as load" place.c 's/sum \+= pl->item\[i\].home == BIN_FLOATS.*/;/'
mutate "a bin with none of ours does not count" place.c 's/if \(pl->head\[b\] == NOBODY && off > 0\)/if (false)/'

# Hyperthreads and NUMA nodes.
mutate "threads share their core" place.c 's/return fmax\(own, core .*/return own;/'
mutate "what they do together" place.c 's/^#define SMT_GAIN .*/#define SMT_GAIN 1.0/'
mutate "the bound knows cores" bound.c 's/return cores \? .*/return level;/'
mutate "of equal bins the nearest" place.c 's/ \|\| n > near\)/)/'
mutate "each node has its own level" bound.c 's/bool alike = .*/bool alike = true;/'
mutate "a guest stays whole" node.c 's/v->node = is_held\(v\) \? at : g->node;/v->node = -1;/'
mutate "who is held is in no other node" node.c 's/v->node = is_held\(v\) \? at : g->node;/v->node = g->node;/'
mutate "and his guest does not cross" node.c 's/g->moves &= .*/;/'
mutate "only where all of it is allowed" node.c 's/g->nodes &= nodes_of.*/nodes_of(t, v->allowed);/'
mutate "what fits no node has none" node.c 's/if \(t->node\[k\]\.room < \(double\)n\)/if (t->node[k].room <= 0)/'
mutate "and counts where it is" node.c 's/g->nodes == 0 && i </false \&\& i </'
mutate "who has no home gets one" node.c 's/g->node < 0 \? emptiest.*/-1;/'
mutate "a small skew is borne" node.c 's/^#define SKEW .*/#define SKEW 0.06/'
mutate "a short one, too" node.c 's/^#define SKEW_LONG .*/#define SKEW_LONG 1/'
mutate "an overloaded node is not" node.c 's/ \|\| most > SKEW_SEVERE.*/;/'
mutate "few cross" node.c 's/^#define SKEW_STOP .*/#define SKEW_STOP -9.0/'
mutate "nobody crosses to a fuller node" node.c 's/if \(full\(p\) - full\(q\) > SKEW_STOP &&/if (/; s/room \+ SKEW_STOP\)/room + 9)/'

# When it goes.
mutate "a mild case waits for a second interval" cpu.c 's/^#define PERSIST .*/#define PERSIST 1/'
mutate "a severe case does not wait" cpu.c 's/if \(t->severe \|\| /if (/'
mutate "no case is severe where nothing is full" cpu.c 's/t->severe = now->fullest >= 1 &&/t->severe =/'
mutate "a severe case pays any price" cpu.c 's/if \(!t->severe && now->squares/if (now->squares/'
mutate "a threshold to start" cpu.c 's/now->spread > t->lim->start_points/now->spread > 0/'
mutate "gain above noise" cpu.c 's/if \(!above_noise\(.*/if (false)/'
mutate "pins must pay" cpu.c 's/now->squares - plan->squares < PAY \* plan->moved/false/'
mutate "passes back off" cpu.c 's/if \(h->quiet < wait && !exempt\)/if (false)/'
mutate "a severe case does not back off" cpu.c 's/bool exempt = .*/bool exempt = false;/'
mutate "passes are forgiven" cpu.c 's/h->quiet > FORGIVE \* .*/false) {/'
mutate "a forbidden bin is left at once" cpu.c 's/if \(!t->forced\)/if (true)/'
mutate "who is stuck is not asked for" cpu.c 's/if \(v->stuck\)/if (false)/'
mutate "who is not seen is not moved" cpu.c 's/if \(v->seen.seen == 0\)/if (false)/'
mutate "somebody else's guest is left alone" cpu.c 's/v->moved.foreign >= FOREIGN_ALONE/false/'
mutate "floats settle when the host is acted on" cpu.c 's/v->bin == BIN_FLOATS && v->demand >= SETTLE_MIN/false/'
mutate "idle floats do not" cpu.c 's/v->demand >= SETTLE_MIN/true/'
mutate "floats count where they ran" cpu.c 's/h->bin\[b\].load \+= wanted \* .*/h->bin[b].load += wanted \/ (double)h->nbins;/'
mutate "other load is lost capacity" cpu.c 's/if \(tells\)/if (false)/'
mutate "other load is left soon" cpu.c 's/^#define OTHER_UP .*/#define OTHER_UP 0.01/'
mutate "and come back to slowly" cpu.c 's/^#define OTHER_DOWN .*/#define OTHER_DOWN 1.0/'
mutate "comings and goings are not other load" cpu.c 's/if \(h->churned\)/if (false)/'
mutate "unknown busy is not other load" cpu.c 's/if \(h->bin\[b\].busy < 0\)/if (false)/; s/fmax\(0, h->bin\[b\].busy\)/fabs(h->bin[b].busy)/'
mutate "only pins that were made are passes" cpu.c 's/bool ours = m->waiting && .*/bool ours = m->waiting;/'

plan
