/*
 * A guest's own definition: its metadata, what its memory is, and its NUMA cells.
 */
#include "host/metadata.h"
#include "lib/cpuset.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_policy p = { .min_kib = 7 };
	struct memory_kind kind;
	static struct vcpu_cell cell[9];
	char *xml = malloc(size + 1), error[128] = "";

	MUST(xml != NULL);
	if (size)
		memcpy(xml, data, size);
	xml[size] = '\0';
	if (metadata_parse(xml, &p, error, sizeof(error)) < 0) {
		MUST(p.min_kib == 7 && p.weight == 0);
		MUST(strlen(error) < sizeof(error));
	} else {
		MUST(p.weight == 0 || (p.weight >= 0.01 && p.weight <= 100));
		MUST(!p.max_kib || p.min_kib <= p.max_kib);
		MUST(p.max_kib <= 1ULL << 40 && p.startup_kib <= 1ULL << 40);
	}
	memory_kind_parse(xml, &kind);
	if (cells_parse(xml, cell, 9) == 0)
		for (int i = 0; i < 9; i++)
			MUST(cell[i].cell < PCPU_MAX && cell[i].mode <= MEMORY_RESTRICTIVE &&
			     (cell[i].mode == MEMORY_GUESTS) == !cpuset_count(&cell[i].nodes));
	free(xml);
	return 0;
}
