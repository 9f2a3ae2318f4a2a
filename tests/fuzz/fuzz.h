/*
 * fuzz.h - what the fuzz targets share.  A target is one file fuzz_NAME.c with its inputs in
 * corpus/NAME: libFuzzer looks for new ones (make fuzz), replay.c runs the known ones.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the property, not the program, says of a broken one: never compiled out. */
#define MUST(what)                                                                             \
	do {                                                                                   \
		if (!(what)) {                                                                 \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);     \
			abort();                                                               \
		}                                                                              \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes as a source of choices; zeros once they are used up. */
struct bytes {
	const uint8_t *at, *end;
};

static inline unsigned byte(struct bytes *b)
{
	return b->at < b->end ? *b->at++ : 0;
}

/* A figure of any magnitude in two bytes: mostly small, now and then absurd. */
static inline uint64_t figure(struct bytes *b)
{
	uint64_t value = byte(b);
	unsigned shift = byte(b);

	if (shift == 0xff)
		return UINT64_MAX - value;
	return value << shift % 64;
}

#endif
