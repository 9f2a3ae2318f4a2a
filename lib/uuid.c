/*
 * uuid.c - UUIDs as text.
 */
#include <string.h>

#include "lib/uuid.h"

#define UUID_TEXT 36 /* bytes, without the NUL */

int uuid_parse(const char *s, unsigned char *uuid)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
			  hex[] = "0123456789abcdef";
	unsigned char read[UUID_LEN] = { 0 };
	unsigned nibble = 0;

	if (strlen(s) != UUID_TEXT)
		return -1;
	for (size_t i = 0; i < UUID_TEXT; i++) {
		const char *digit = strchr(hex, s[i]);

		if (form[i] == '-' ? s[i] != '-' : !digit)
			return -1;
		if (form[i] == '-')
			continue;
		read[nibble / 2] = (unsigned char)(read[nibble / 2] << 4 | (digit - hex));
		nibble++;
	}
	memcpy(uuid, read, sizeof(read));
	return 0;
}

void uuid_print(FILE *f, const unsigned char *uuid)
{
	for (int i = 0; i < UUID_LEN; i++)
		fprintf(f, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}
