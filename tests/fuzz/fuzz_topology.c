/*
 * Capabilities, from a daemon that may be another machine's.
 */
#include "host/shape.h"
#include "lib/cpuset.h"
#include "policy/sample.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct topology t, was;
	char *xml = malloc(size + 1);

	MUST(xml != NULL);
	if (size)
		memcpy(xml, data, size);
	xml[size] = '\0';
	memset(&t, 0x11, sizeof(t));
	was = t;
	if (topology_parse(xml, &t) < 0) {
		MUST(memcmp(&t, &was, sizeof(t)) == 0);
	} else {
		topology_has_nodes(&t);
		for (unsigned i = 0; i < PCPU_MAX; i++) {
			MUST(t.core[i] >= -1 && t.core[i] < PCPU_MAX);
			MUST(t.cache[i] >= -1 && t.cache[i] < PCPU_MAX);
			MUST(t.node[i] >= -1 && t.node[i] < PCPU_MAX);
		}
	}
	free(xml);
	return 0;
}
