/*
 * share.h - who gets what
 */
#ifndef POLICY_SHARE_H
#define POLICY_SHARE_H

#include "policy/mem.h"

/*
 * Deals pool_kib to g[0..n) into dealt_kib.  Each gets the base, then the gaps from tier_kib
 * to tier_kib are filled, each tier for all before the next; within a tier all get the same
 * fraction of their gap, by weight.  The sum dealt is at most pool_kib, unless the bases
 * alone are more.
 */
void share_deal(const struct mem_tunables *tune, struct guest *g, size_t n, double pool_kib);

#endif
