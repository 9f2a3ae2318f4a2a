/*
 * array.h - arrays that grow
 */
#ifndef LIB_ARRAY_H
#define LIB_ARRAY_H

#include <stddef.h>

/*
 * Makes *array, which has room for *cap items of size bytes, hold want of them.  -1 and
 * unchanged without memory.
 */
int array_reserve(void *array, size_t *cap, size_t want, size_t size);

/*
 * The index of an item of *array that is the same, byte for byte, as item, which is added as
 * the last of n if there is none.  -1: no memory.
 */
int array_intern(void *array, size_t *n, size_t *cap, const void *item, size_t size);

/* Frees *array: it has room for nothing then. */
void array_free(void *array, size_t *cap);

#endif
