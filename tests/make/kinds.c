/*
 * kinds.c - what kind of memory the guests of definitions have: see tests/make/libvirt.t.
 *
 *	kinds < LIST	a line for each file of the list: its name, and what memory_kind_parse() says
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/metadata.h"

#define FILE_LEN (4UL << 20) /* bytes */

static void print(const char *path, char *xml)
{
	struct memory_kind kind;
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(xml, 1, FILE_LEN - 1, f) : 0;

	if (f)
		fclose(f);
	xml[n] = '\0';
	if (memory_kind_parse(xml, &kind) < 0)
		printf("%s unread\n", path);
	else
		printf("%s locked=%d huge=%llu dimm=%llu other=%llu virtio-mem=%llu\n", path,
		       kind.locked, (unsigned long long)kind.huge_kib,
		       (unsigned long long)kind.dimm_kib, (unsigned long long)kind.other_kib,
		       (unsigned long long)kind.virtio_mem_kib);
}

int main(void)
{
	char path[4096], *xml = malloc(FILE_LEN);

	while (xml && fgets(path, sizeof(path), stdin)) {
		path[strcspn(path, "\n")] = '\0';
		print(path, xml);
	}
	free(xml);
	return 0;
}
