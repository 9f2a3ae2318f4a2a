/*
 * array.c - arrays that grow.
 */
#include <stdlib.h>

#include "vmbal.h"

int array_reserve(void *array, size_t *cap, size_t want, size_t size)
{
	void **items = array;
	void *grown;

	if (want <= *cap)
		return 0;
	want += want / 2;
	grown = realloc(*items, want * size);
	if (!grown)
		return -1;
	*items = grown;
	*cap = want;
	return 0;
}
