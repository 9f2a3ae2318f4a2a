/*
 * tunables.c - the policies' tunables as rows of the manual's tables: see tests/cli/man.t.
 *
 *	tunables cpu | mem	the rows of one policy, as man/vmbal.8 has them
 */
#include "lib/tunable.h"
#include "policy/cpu_tunables.h"
#include "policy/mem_tunables.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	bool mem = argc == 2 && strcmp(argv[1], "mem") == 0;
	const struct tunable *row = mem ? mem_tunable : cpu_tunable;
	size_t n = mem ? mem_tunable_count : cpu_tunable_count;
	char value[64];

	if (argc != 2)
		return 2;
	for (size_t i = 0; i < n; i++) {
		tunable_text(&row[i], row[i].usual, value, sizeof(value));
		printf(".It Dv %s Ta %s Ta \"%s\"\n", row[i].name, value, row[i].meaning);
	}
	return 0;
}
