/*
 * need.h - what one guest needs
 */
#ifndef POLICY_NEED_H
#define POLICY_NEED_H

#include "policy/mem.h"

/* Takes in g's sample of time now_ns: demand, growth rate, working set, swap debt. */
void need_observe(const struct mem_tunables *tune, struct guest *g, int64_t now_ns);

/* Tells whether g reports, and its demand may be believed at now_ns. */
bool need_fresh(const struct mem_tunables *tune, const struct guest *g, int64_t now_ns);

/* Sets g's demand, growth rate, peak, floor, survive, need and comfort from its history. */
void need_levels(const struct mem_tunables *tune, struct guest *g, double interval_s,
		 int64_t now_ns);

/* A fixed term for a guest of ordinary size, scaled down for a small one. */
double need_scaled(const struct mem_tunables *tune, const struct guest *g, double kib);

#endif
