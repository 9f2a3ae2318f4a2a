/*
 * heap.h - what a test's process has allocated, where the C library tells
 */
#ifndef FAKE_HEAP_H
#define FAKE_HEAP_H

#include <stddef.h>
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

/* Bytes; always 0 where the C library does not tell. */
static inline size_t heap_bytes(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	return mallinfo2().uordblks;
#elif defined(__GLIBC__)
	return (unsigned)mallinfo().uordblks;
#else
	return 0;
#endif
}

#endif
