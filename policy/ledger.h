/*
 * ledger.h - what is promised, and what is left
 */
#ifndef POLICY_LEDGER_H
#define POLICY_LEDGER_H

#include "policy/mem.h"

/* Learns from g's sample: driver, VMM's own memory, whether ballooned pages come back. */
void ledger_observe(const struct mem_tunables *tune, struct guest *g, int64_t now_ns);

/* Would RSS show, of a shrink to to_kib, whether its pages come back? */
bool ledger_shows(const struct mem_tunables *tune, const struct guest *g, double to_kib);

/* Is that to be seen soon of the last shrink? */
bool ledger_judging(const struct mem_tunables *tune, const struct guest *g);

/* What g holds: the larger of actual and its standing target. */
uint64_t ledger_held(const struct guest *g);

/* What its QEMU needs beside: as seen, and at least vmm_kib. */
double ledger_overhead(const struct mem_tunables *tune, const struct guest *g);

/* Memory the host keeps by its size: the reserve, and the least that even a rescue leaves. */
uint64_t ledger_reserve(const struct mem_tunables *tune, const struct mem_host *host);
uint64_t ledger_least(const struct mem_tunables *tune, const struct mem_host *host);

/* Sets claim_kib of each guest and the report's host figures; known false: nothing else. */
void ledger_sum(const struct mem_conf *conf, const struct mem_host *host, struct guest *g,
		size_t n, struct mem_report *report);

/* Moves the host's state by report and pressure: worse at once, better one level at a time. */
void ledger_state(struct mem_state *state, const struct mem_conf *conf,
		  const struct mem_host *host, int64_t now_ns, struct mem_report *report);

#endif
