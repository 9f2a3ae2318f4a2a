/*
 * place_parts.h - what the parts of the planner share; for them alone
 */
#ifndef POLICY_PLACE_PARTS_H
#define POLICY_PLACE_PARTS_H

#include "policy/place.h"

#define TINY   1e-9 /* CPUs: rounding of sums */
#define CHEAP  512  /* vCPUs: of more, the first plan that will do will do */
#define BLOCK  16   /* bins whose least full one is known, so that a search can skip them */
#define NOBODY UINT32_MAX /* no vCPU: the end of a bin's list */

/* place_problem.c: the placement in hand. */
void place_put(struct place *pl, uint32_t i, int b);
void place_take(struct place *pl, uint32_t i); /* from its bin, to none */
void place_go_home(struct place *pl);          /* everybody */
bool place_may_use(const struct place *pl, uint32_t i, size_t b);
double place_full_with(const struct place *pl, size_t b, double more); /* CPUs more */

/* What a placement leaves, by cores; and with threads, and what it costs. */
struct place_score place_quality(const struct place *pl);
struct place_score place_rate(const struct place *pl);

/* place_refine.c: until no bin is above target, and the imbalance is down to stop_points. */
void place_refine(struct place *pl, double target, double stop_points);

/* Within cores only: how full they are stays the same. */
void place_even_threads(struct place *pl);

/* Refine with at most max_moves more than there are; returns what comes of it. */
struct place_score place_refine_few(struct place *pl, double target, double stop_points,
				    size_t max_moves);

#endif
