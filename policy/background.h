/*
 * background.h - the load of bins: vCPUs', and what the host itself does
 */
#ifndef POLICY_BACKGROUND_H
#define POLICY_BACKGROUND_H

#include "policy/cpu.h"

/* Sets background and load of every bin's plan; demands are known.  residual: nbins doubles. */
void background_see(const struct cpu_tunables *tune, struct cpu_host *h, double *residual);

#endif
