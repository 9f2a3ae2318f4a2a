/*
 * Scenario files of tests/sim: what is accepted can be played, what is not is explained.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/sim/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scenario sc;
	char *text = malloc(size + 1), error[256] = "";

	MUST(text != NULL);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (scenario_parse(text, &sc, error, sizeof(error)) < 0) {
		MUST(strncmp(error, "line ", 5) == 0 && strlen(error) < sizeof(error) - 1);
	} else {
		MUST(sc.pcpus >= 1 && sc.pcpus <= 64 && sc.last >= 1 && sc.vcpus >= 1);
		MUST(sc.groups <= SCENARIO_GROUPS && sc.events <= SCENARIO_EVENTS);
		MUST(sc.expects <= SCENARIO_EXPECTS && sc.vcpus <= SCENARIO_VCPUS);
	}
	free(text);
	return 0;
}
