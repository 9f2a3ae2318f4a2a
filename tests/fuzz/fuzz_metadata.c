/*
 * A guest's own definition: its metadata, and what its memory is.
 */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_policy p = { .min_kib = 7 };
	bool locked = false, hugepages = false;
	char *xml = malloc(size + 1), error[128] = "";

	MUST(xml != NULL);
	if (size)
		memcpy(xml, data, size);
	xml[size] = '\0';
	if (metadata_parse(xml, &p, error, sizeof(error)) < 0) {
		MUST(p.min_kib == 7 && p.weight == 0);
		MUST(strlen(error) < sizeof(error));
	} else {
		MUST(p.weight >= 0.01 && p.weight <= 100);
		MUST(!p.max_kib || p.min_kib <= p.max_kib);
		MUST(p.max_kib <= 1ULL << 40 && p.startup_kib <= 1ULL << 40);
	}
	memory_kind_parse(xml, &locked, &hugepages);
	free(xml);
	return 0;
}
