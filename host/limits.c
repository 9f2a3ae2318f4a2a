/*
 * limits.c - the rows of limits.h as data.
 */
#include "host/limits.h"

const struct limits limit = { HOST_LIMITS(TUNABLE_DEFAULT) };

#define ROW(...) TUNABLE_ROW(limits, __VA_ARGS__)
const struct tunable limit_row[] = { HOST_LIMITS(ROW) };
const size_t limit_rows = sizeof(limit_row) / sizeof(limit_row[0]);
