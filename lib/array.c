/*
 * array.c - arrays that grow.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"

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

int array_intern(void *array, size_t *n, size_t *cap, const void *item, size_t size)
{
	void **items = array;

	for (size_t i = 0; i < *n; i++)
		if (memcmp((char *)*items + i * size, item, size) == 0)
			return (int)i;
	if (array_reserve(array, cap, *n + 1, size) < 0)
		return -1;
	memcpy((char *)*items + *n * size, item, size);
	return (int)(*n)++;
}

void array_free(void *array, size_t *cap)
{
	void **items = array;

	free(*items);
	*items = NULL;
	*cap = 0;
}
