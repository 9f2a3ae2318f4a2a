/*
 * mem_tunables.c - the rows of mem_tunables.h as data.
 */
#include "policy/mem_tunables.h"

const struct mem_tunables mem_tunables_default = MEM_TUNABLES_DEFAULT;

#define ROW(...) TUNABLE_ROW(mem_tunables, __VA_ARGS__)
const struct tunable mem_tunable[] = { MEM_TUNABLES(ROW) };
const size_t mem_tunable_count = sizeof(mem_tunable) / sizeof(mem_tunable[0]);
