/*
 * cpu_tunables.c - the rows of cpu_tunables.h as data.
 */
#include "policy/cpu_tunables.h"

const struct cpu_tunables cpu_tunables_default = CPU_TUNABLES_DEFAULT;

#define ROW(...) TUNABLE_ROW(cpu_tunables, __VA_ARGS__)
const struct tunable cpu_tunable[] = { CPU_TUNABLES(ROW) };
const size_t cpu_tunable_count = sizeof(cpu_tunable) / sizeof(cpu_tunable[0]);
