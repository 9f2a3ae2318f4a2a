#!/usr/bin/env bash
# Each rule and gate of the CPU policy, left out: some unit test or scenario must fail.
# shellcheck source=tests/mutate/lib.sh
. "$(dirname "$0")/lib.sh"

begin policy unit/test_demand unit/test_cpu unit/test_background unit/test_node "sim/t_cpu -n 2" \
	unit/test_place sim/t_cpu "sim/t_cpu_tiers -n 100"

# What a vCPU wants.
mutate "waiting in a full bin is demand" demand.c 's|fmin\(1, v->now.run / \(1 - wait\)\)|fmin(1, v->now.run)|'
mutate "nobody wants more than one CPU or his quota" demand.c 's/return v->now.quota > 0 .*/return 9;/'
mutate "the kind of work is learned" demand.c 's/return fmax\(0, fmin\(1, \(slope - .*/return guess; (void)((slope */'
mutate "closed work is not taken for open" demand.c 's/return fmax\(0, fmin\(1, \(slope - .*/return 0; (void)((slope */'
mutate "open work is not taken for closed" demand.c 's/return fmax\(0, fmin\(1, \(slope - .*/return 1; (void)((slope */'
mutate "a burst is smoothed" cpu_tunables.h 's/(ROW\(double, smooth(_far)?, )[^,]*/\11.0/'
mutate "a step is taken at once" demand.c 's/return d->steps >= tune->step_samples;/return false;/'
tune "a light load has light steps" light_step_part 100
mutate "a new load tells no kind of work" demand.c 's/d->weight > 0 && r \* w < 0 && /false \&\& /'
tune "one sample is no step" step_samples 1
mutate "a step is not noise" demand.c 's/usual = fmin\(fabs\(off\), .*/usual = fabs(off);/'
mutate "a new load is averaged with what follows" demand.c 's/d->alike = 2;/;/'
tune "not all that waits while a pCPU idles is late" slope_prior_idle 0.001
mutate "a missed sample is no sample" demand.c 's/if \(v->now.sampled\) \{/if (true) {/'

# What no plan can beat.
mutate "the bound knows what cannot be packed" lower_bound.c 's/^(.*)return half > m;/\1return false;/; s/if \(rest > TINY &&.*/if (false)/'
mutate "background load counts in the bound" lower_bound.c 's/poured \+= other;/;/'
mutate "who must be placed counts as a move" lower_bound.c 's/it->home == BIN_OUTSIDE/false/'

# Where it goes.
mutate "an allowed is never left" place.c 's/!place_usable\(pl, set, b\)/pl->bin[b].now.capacity <= 0/'
mutate "nor by a swap" place_refine.c 's/!place_may_use\(pl, i, q\)/false/; s/place_may_use\(pl, j, p\)/true/'
mutate "who is fixed stays" place_problem.c 's|it->fixed = part == .*|it->fixed = false;|'
mutate "few leave a full bin: the smallest that suffices" place.c 's/if \(least != last\)/if (false)/'
mutate "the plan is refined" place.c 's/^(\tplace_refine\(pl, target, stop_points\));/\t;/'
mutate "no plan makes it worse" place.c 's/if \(stay && !no_worse\(s, now\)\)/if (false)/'
mutate "several levels are tried" place.c 's/size_t levels = .*/size_t levels = 1;/'
mutate "light unpinned ones count as load" place_problem.c 's/sum \+= pl->item\[i\].home == BIN_UNPINNED.*/;/'
mutate "a bin with none of ours does not count" place_problem.c 's/if \(pl->head\[b\] == NOBODY && off > 0\)/if (false)/'

# Hyperthreads and NUMA nodes.
mutate "threads share their core" place_problem.c 's/return fmax\(own, core .*/return own;/'
tune "what they do together" smt_gain_cpus 1.0
mutate "the bound knows cores" lower_bound.c 's/return cores \? .*/return level;/'
mutate "of equal bins the nearest" place.c 's/ \|\| n > near / /'
mutate "each node has its own level" lower_bound.c 's/bool alike = .*/bool alike = true;/'
mutate "a guest stays whole" node.c 's/send\(t, i, node_bit\(p->node\)\)/send(t, i, NODE_ANY)/'
mutate "who is held is in no other node" node.c 's/v->plan.nodes = !node_is_held\(v\) .*/v->plan.nodes = nodes;/'
mutate "and his guest does not cross" node_problem.c 's/p->moves &= .*/;/'
mutate "only where all of it is allowed" node_problem.c 's/p->allowed &= nodes_of.*/nodes_of(t, v->now.allowed);/'
mutate "what fits no node has none" node_problem.c 's/ && t->node\[k\].pcpus >= count//'
mutate "and counts where it is" node.c 's/p->node < 0 && i </false \&\& i </'
mutate "who has no home gets one" node.c 's/if \(p->node >= 0 \|\| p->nodes == 0\)/if (true)/'
tune "a small skew is borne" skew 0.06
tune "a short one, too" skew_intervals 1
mutate "an overloaded node is not" node.c 's|most > t->tune->skew_severe.*|false;|'
mutate "few cross" cpu_tunables.h 's/(ROW\(\w+, skew_stop, )[^,]*/\1-9.0/'
mutate "nobody crosses to a fuller node" node.c 's/if \(full\(a\) - full\(b\) > t->tune->skew_stop &&/if (/; s/room \+ t->tune->skew_stop\)/room + 9)/'
mutate "a node holds a busy vCPU for each core" node.c 's/^(.*)relieve_all\(&t\);/\1;/; s/return p->busy <= 0 .*/return true;/'
mutate "a guest that fits no node's cores is in none" node_problem.c 's/t->part\[i\]\.nodes &= ~node_bit\(k\);/;/'
mutate "without an idle core guests stay" node_problem.c 's/fmax\(0, busy - cores\)/0/'
mutate "who shares a core while one idles elsewhere is freed" node.c 's/fmin\(sharing\(.*/t->node[p->node].busy - t->node[p->node].most;/'
mutate "threads are no cores" node_problem.c 's/if \(known && cpuset_has.*/if (false)/'
mutate "what is confined into a node fills it" node_problem.c 's/t->node\[__builtin_ctzll\(nodes\)\]\.busy\+\+;/;/'
mutate "a split guest is gathered late" node_problem.c 's/p->busy = in & .*/p->busy = busy;/'
mutate "who has his memory there goes last" node.c 's/if \(\(p->near != 0\) == near\)/if (true)/'
mutate "a guest is where its memory is" node_problem.c 's/p->near &= v->now.memory.nodes;/p->near = 0;/'
mutate "each cell by itself" node_problem.c 's/return t->h->vcpu\[i\].now.memory.cell == p->cell;/return true;/'
mutate "interleaved memory is in no single node" node_problem.c 's/ && !p->interleaved\)/)/'
mutate "nor in one without cores for it" node.c 's/near &= cores-- >= 1;/;/'
mutate "of equal bins those near its memory" place.c 's/if \(near \? !\(near .*/if (!from || from->now.node != to->now.node)/'
mutate "threads of a core are evened out" place.c 's/^\tplace_even_threads\(pl\);/\t;/'
mutate "where it pays" place_refine.c 's/\(more > 0 && step\.even < pl->tune->migration_cost \* cost\)/false/'
mutate "they show in the imbalance" cpu.c 's/s\.imbalance \+ s\.threads/s.imbalance/'
mutate "and pay for pins" cpu.c 's/fall = now->squares \+ now->uneven - plan->squares - plan->uneven/fall = now->squares - plan->squares/'

# What the host itself does.
mutate "background load is unbound" background.c 's/bin->past.stays \? more : 0/bin->past.seen/'
mutate "some of it is bound" background.c 's/bin->past.stays \? more : 0/0/'
mutate "only what stays twice" background.c 's/\(wide && b->past.wide\)/wide/'
mutate "only beside vCPUs" background.c 's/b->now.busy - residual < tune->bound_gap \* b->now.capacity/false/'
mutate "what is everywhere is not bound" background.c 's/everywhere = fmin\(everywhere, .*/everywhere = 0;/'
mutate "interrupts are" background.c 's/bin->past.stays \? more : 0, bin->now.irq/bin->past.stays ? more : 0, 0/'
mutate "what has gone lingers" background.c 's/\+\+b->past.gone >= tune->bound_linger_intervals/true/'
mutate "but only as long as it was here" background.c 's|b->past.gone > b->past.here|false|'
mutate "who always runs or waits wants all" demand.c 's/v->now.run \+ wait >= tune->always/false/'
mutate "above one pCPUs worth points are shares" cpu.c 's/off \/= fmax\(1, .*/;/'
mutate "unpinned ones are placed" cpu.c 's/t->conf->place_unpinned &&/false \&\&/'
mutate "when their demand is known" cpu.c 's/v->past.demand.seen >= t->tune->unpinned_samples/true/'
mutate "and nobody else moves for them" place_refine.c 's/\(size_t\)more > pl->may_add/false/'

# Masks narrower than their bin.
mutate "who waits in a part of its bin gets all of it" cpu.c 's/^\twiden\(&t\);/\t;/'
mutate "not who waits for all of the bin" cpu.c 's/ \* bin_idle\(&h->bin\[v->now.bin\]\);/;/'
mutate "nor in one interval" cpu.c 's/v->past.waited < t->tune->persist_intervals/false/'
mutate "only once" pins.c 's/v->past.widened \|= .*/;/'

# When it goes.
tune "a mild case waits for a second interval" persist_intervals 1
tune "a milder one longer" clear_part 1
mutate "a severe case does not wait" cpu.c 's/if \(t->severe \|\| /if (/'
mutate "but for a second sample" cpu.c 's/v->past.demand.seen < t->tune->severe_samples/false/'
mutate "no case is severe where nothing is full" cpu.c 's/t->severe = now->peak >= 1 &&/t->severe =/'
mutate "a severe case pays any price" cpu.c 's/if \(!t->severe && fall/if (fall/'
mutate "a threshold to start" cpu.c 's/over <= 1 \|\|/over <= 0 ||/'
mutate "what no plan mends is no reason" cpu.c 's/    !mends\(t, now, plan\)\)/    false)/'
mutate "gain above noise" cpu.c 's/if \(!above_noise\(.*/if (false)/'
mutate "pins must pay" cpu.c 's/fall < t->tune->migration_cost \* plan->moved/false/'
mutate "passes back off" cpu.c 's/if \(h->quiet < wait && !exempt\)/if (false)/'
mutate "a severe case does not back off" cpu.c 's/bool exempt = .*/bool exempt = false;/'
tune "after a pass demands show themselves anew" settle_intervals 0
mutate "passes that brought nothing end" cpu.c 's/if \(v->past.moved.futile\)/if (false)/'
mutate "until loads change" pins.c 's/return fabs\(now - then\) > .*/return false;/'
mutate "a full bin promises nothing" cpu.c 's/pins_ask\(v, !t->severe && .*/pins_ask(v, true \&\&/; s/bin_idle\(&t->h->bin\[v->now.bin\]\) >= t->tune->idle_ample\)/true)/'
mutate "passes are forgiven" pins.c 's/^.*} else if \(h->passes > 0 &&/} else if (false \&\&/'
mutate "a forbidden bin is left at once" cpu.c 's/if \(!t->forced && !t->placing\)/if (true)/'
mutate "who is stuck is not asked for" cpu.c 's/if \(v->now.held\)/if (false)/'
mutate "who is not seen is not moved" cpu.c 's/if \(v->past.demand.seen == 0\)/if (false)/'
mutate "somebody else's guest is left alone" cpu.c 's/v->past.moved.external >= tune->external_alone/false/'
mutate "unpinned ones are placed when the host is acted on" cpu.c 's/v->now.bin == BIN_UNPINNED && v->plan.demand >= tune->unpinned_min_cpus/false/'
mutate "idle unpinned ones are not" cpu.c 's/v->plan.demand >= tune->unpinned_min_cpus/true/'
mutate "unpinned ones count where they ran" background.c 's/h->bin\[b\].plan.load \+= wanted \* .*/h->bin[b].plan.load += wanted \/ (double)h->nbins;/'
mutate "background load is lost capacity" background.c 's/ && tells/ \&\& false/'
tune "background load is left soon" background_up 0.01
tune "and come back to slowly" background_down 1.0
mutate "comings and goings are not background load" background.c 's/if \(h->churned\)/if (false)/'
mutate "unknown busy is not background load" background.c 's/if \(h->bin\[b\].now.busy < 0\)/if (false)/; s/fmax\(0, h->bin\[b\].now.busy\)/fabs(h->bin[b].now.busy)/'
mutate "only pins that were made are passes" pins.c 's/bool ours = m->waiting && .*/bool ours = m->waiting;/'
mutate "threads are told as shares of what is asked, too" place_problem.c 's/more \/= fmax\(1, pl->level\[b\]\);/;/'
tune "a small gain is sought if it lasts" patience_intervals 10000
tune "what background load may explain is borne" peak_excess_background 0

plan
