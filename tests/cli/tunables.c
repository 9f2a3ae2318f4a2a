/*
 * tunables.c - the policies' tunables and the host's limits as rows of the manual's tables: see
 * tests/cli/man.t.
 *
 *	tunables cpu | mem | host	the rows of one table, as man/vmbal.8 has them
 */
#include "host/limits.h"
#include "lib/tunable.h"
#include "policy/cpu_tunables.h"
#include "policy/mem_tunables.h"

#include <stdio.h>
#include <string.h>

static const struct table {
	const char *name;
	const struct tunable *row;
	const size_t *n;
} tables[] = {
	{ "cpu", cpu_tunable, &cpu_tunable_count },
	{ "mem", mem_tunable, &mem_tunable_count },
	{ "host", limit_row, &limit_rows },
};

static void print(const struct table *t)
{
	char value[64];

	for (size_t i = 0; i < *t->n; i++) {
		tunable_text(&t->row[i], t->row[i].usual, value, sizeof(value));
		printf(".It Dv %s Ta %s Ta \"%s\"\n", t->row[i].name, value, t->row[i].meaning);
	}
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (strcmp(argv[1], tables[i].name) != 0)
			continue;
		print(&tables[i]);
		return 0;
	}
	return 2;
}
